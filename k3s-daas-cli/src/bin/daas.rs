//! The command line of k3s-daas.

fn main() -> std::process::ExitCode {
    k3s_daas_cli::daas()
}
