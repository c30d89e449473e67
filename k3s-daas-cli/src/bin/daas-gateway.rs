//! The gateway of k3s-daas as a process of its own.

fn main() -> std::process::ExitCode {
    k3s_daas_cli::gateway()
}
