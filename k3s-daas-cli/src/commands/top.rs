//! `daas top`.

mod page;
mod seen;
mod view;

use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use self::seen::{Seen, Watcher};
use crate::app::App;
use crate::args::{Global, Output};
use crate::exit::{Exit, Failure};
use crate::printer::Format;
use crate::settings::{Flags, Key};
use crate::units::{self, Span};

/// What to look at, and how.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
What is shown comes from the metrics of gateway and Nautilus (`gateway.metrics_listen`, `nautilus.metrics_listen`) and \
from the ledger in the directory; what cannot be had of these is said to be missing. Rates and times are of what came \
between two looks. q, Esc and Ctrl-C quit; the arrows go through the tokens.

With --once it looks twice and prints, for scripts and where there is no terminal; exit code 5 if nothing could be had.

Examples:
  daas top
  daas top --every 5s --gateway 127.0.0.1:7444 --nautilus 127.0.0.1:7445
  daas top --once -o json")]
pub struct Args {
    /// How often to look.
    #[arg(long, value_name = "TIME", default_value = "2s")]
    every: Span,
    /// Address of the gateway's metrics [env: DAAS_GATEWAY_METRICS_LISTEN].
    #[arg(long, value_name = "ADDRESS", value_parser = units::socket)]
    gateway: Option<SocketAddr>,
    /// Address of Nautilus's metrics [env: DAAS_NAUTILUS_METRICS_LISTEN].
    #[arg(long, value_name = "ADDRESS", value_parser = units::socket)]
    nautilus: Option<SocketAddr>,
    /// Print once instead of drawing.
    #[arg(long)]
    once: bool,
    /// How to print, with --once.
    #[command(flatten)]
    output: Output,
}

/// Shows it until it is quit.
///
/// # Errors
/// [`Exit::Usage`] if there is no terminal, [`Exit::Unavailable`] with --once if nothing could be had.
pub fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let mut flags = Flags::new();
    let address = |address: SocketAddr| address.to_string();
    flags.extend(
        args.gateway
            .map(|it| (Key::GatewayMetricsListen, address(it))),
    );
    flags.extend(
        args.nautilus
            .map(|it| (Key::NautilusMetricsListen, address(it))),
    );
    let app = App::new(global, args.output, flags)?;
    let every = args.every.0.max(SHORTEST);
    if args.once {
        return app.block_on(once(&app, every));
    }
    if args.output.output != Format::Table {
        let message = "-o is for --once";
        return Err(Failure::new(Exit::Usage, message)
            .with_next("add --once")
            .into());
    }
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let message = "there is no terminal to draw on";
        return Err(Failure::new(Exit::Usage, message)
            .with_next("add --once to print instead")
            .into());
    }
    // A line of a log would stand in the middle of what is drawn.
    app.start_logging("off")?;
    app.block_on(draw(&app, every))
}

async fn once(app: &App, every: Duration) -> anyhow::Result<()> {
    let mut watcher = Watcher::new(app);
    watcher.look().await;
    tokio::time::sleep(every).await;
    let seen = watcher.look().await;
    match app.printer.format() {
        Format::Table => app.printer.raw(view::text(&seen).as_bytes())?,
        _ => app.printer.object(&seen)?,
    }
    if seen.is_anything() {
        return Ok(());
    }
    let message = "neither metrics nor a ledger can be had";
    Err(Failure::new(Exit::Unavailable, message)
        .with_next(
            "set `gateway.metrics_listen` and `nautilus.metrics_listen` and restart the services, or name the \
             directory with --dir",
        )
        .into())
}

/// Draws until it is quit; the terminal is as it was afterwards, however that ends.
async fn draw(app: &App, every: Duration) -> anyhow::Result<()> {
    let (mut terminate, mut hangup) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    let screen = Screen::open()?;
    let keys = screen.keys();
    let (seen, looks) = mpsc::channel(1);
    let looking = async {
        let mut watcher = Watcher::new(app);
        while seen.send(watcher.look().await).await.is_ok() {
            tokio::time::sleep(every).await;
        }
    };
    tokio::select! {
        shown = show(screen, keys, looks) => shown,
        () = looking => Ok(()),
        _ = terminate.recv() => Ok(()),
        _ = hangup.recv() => Ok(()),
    }
}

async fn show(
    mut screen: Screen,
    mut keys: mpsc::Receiver<Event>,
    mut looks: mpsc::Receiver<Seen>,
) -> anyhow::Result<()> {
    let (mut seen, mut skipped) = (None::<Seen>, 0_usize);
    loop {
        screen.terminal.draw(|frame| {
            let area = frame.area();
            match &seen {
                Some(seen) => view::draw(seen, skipped, area, frame.buffer_mut()),
                None => frame.render_widget("looking…", area),
            }
        })?;
        let key = tokio::select! {
            look = looks.recv() => {
                seen = Some(look.context("nobody looks any more")?);
                continue;
            }
            key = keys.recv() => key.context("the terminal is gone")?,
        };
        // What is no key is another size, for which it is drawn anew.
        let Event::Key(key) = key else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
            KeyCode::Char('c' | 'd') if is_control => return Ok(()),
            KeyCode::Down | KeyCode::Char('j') => {
                let count = seen.as_ref().and_then(|seen| seen.ledger.seen.as_ref());
                let last = count.map_or(0, |ledger| ledger.tokens.len().saturating_sub(1));
                skipped = (skipped + 1).min(last);
            }
            KeyCode::Up | KeyCode::Char('k') => skipped = skipped.saturating_sub(1),
            _ => {}
        }
    }
}

/// The terminal, which is given back when this is dropped.
struct Screen {
    terminal: DefaultTerminal,
    is_read: Arc<AtomicBool>,
}

impl Screen {
    fn open() -> anyhow::Result<Self> {
        // A panic gives it back too, before it says anything.
        let terminal = ratatui::try_init().context("cannot draw on this terminal")?;
        Ok(Self {
            terminal,
            is_read: Arc::new(AtomicBool::new(true)),
        })
    }

    /// What is typed, and other sizes; from a thread of its own, since reading waits.
    fn keys(&self) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(64);
        let is_read = self.is_read.clone();
        std::thread::spawn(move || {
            while is_read.load(Ordering::Relaxed) {
                let next = match event::poll(LOOK_FOR_KEYS) {
                    Ok(false) => continue,
                    Ok(true) => event::read(),
                    Err(error) => Err(error),
                };
                let Ok(next) = next else { return };
                if sender.blocking_send(next).is_err() {
                    return;
                }
            }
        });
        receiver
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.is_read.store(false, Ordering::Relaxed);
        ratatui::restore();
    }
}

/// More often would only show how coarse clocks are.
const SHORTEST: Duration = Duration::from_millis(200);
const LOOK_FOR_KEYS: Duration = Duration::from_millis(100);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_panic_gives_the_terminal_back() {
        if std::env::var_os(INSIDE).is_some() {
            let _screen = Screen::open().unwrap();
            panic!("on purpose");
        }
        // This very test, on a terminal.
        let me = std::env::current_exe().unwrap();
        let line = format!(
            "'{}' --exact commands::top::tests::a_panic_gives_the_terminal_back --nocapture; stty -a",
            me.display()
        );
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).env(INSIDE, "1");
        let said = script.output().unwrap();
        let said = String::from_utf8_lossy(&said.stdout);
        let find = |what: &str| {
            said.find(what)
                .unwrap_or_else(|| panic!("{what}: {said:?}"))
        };
        assert!(find("\u{1b}[?1049h") < find("\u{1b}[?1049l"), "{said:?}");
        assert!(find("\u{1b}[?1049l") < find("on purpose"), "{said:?}");
        assert!(
            said.contains(" icanon") && said.contains(" echo "),
            "{said:?}"
        );
    }

    const INSIDE: &str = "DAAS_TEST_ON_TERMINAL";
}
