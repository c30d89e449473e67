//! How it looks: the same on a terminal and, once, as text.

use std::collections::BTreeMap;

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget as _};

use super::seen::{Gateway, Nautilus, OnLedger, Part, Seen, Stage};
use crate::units::{self, Amount, Moment};

/// Draws it into an area of any size; tokens from `skipped` on.
pub(super) fn draw(seen: &Seen, skipped: usize, area: Rect, buffer: &mut Buffer) {
    let wide = area.width >= SIDE_BY_SIDE;
    let services = [gateway(&seen.gateway), nautilus(&seen.nautilus)];
    let heights = services.each_ref().map(Vec::len);
    let tall = match wide {
        true => heights[0].max(heights[1]),
        false => heights[0] + heights[1],
    };
    let [head, middle, below] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(rows(tall)),
        Constraint::Fill(1),
    ])
    .areas(area);
    Paragraph::new(heading(seen)).render(head, buffer);
    let halves = match wide {
        true => Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(middle),
        false => Layout::vertical([
            Constraint::Length(rows(heights[0])),
            Constraint::Length(rows(heights[1])),
        ])
        .areas(middle),
    };
    let halves: [Rect; 2] = halves;
    for (lines, half) in services.into_iter().zip(halves) {
        Paragraph::new(lines).render(half, buffer);
    }
    Paragraph::new(ledger(&seen.ledger, skipped)).render(below, buffer);
}

/// The same as text, as many lines as it needs.
pub(super) fn text(seen: &Seen) -> String {
    let area = Rect::new(0, 0, SIDE_BY_SIDE, 300);
    let mut buffer = Buffer::empty(area);
    draw(seen, 0, area, &mut buffer);
    let lines = (0..area.height).map(|row| {
        let cells = (0..area.width).map(|column| buffer[(column, row)].symbol());
        cells.collect::<String>().trim_end().to_owned()
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    format!("{}\n", text.trim_end())
}

fn heading(seen: &Seen) -> Vec<Line<'static>> {
    let mut line = vec![
        Span::styled("k3s-daas", bold()),
        Span::raw(format!("  {}", Moment(seen.at_ms))),
    ];
    for disk in &seen.disk {
        let is_low = disk
            .reserve_bytes
            .is_some_and(|reserve| disk.free_bytes < 4.0 * reserve);
        line.push(Span::styled(
            format!("  disk {}: {} left", disk.at, units::bytes(disk.free_bytes)),
            bad_if(is_low),
        ));
    }
    vec![Line::from(line), Line::default()]
}

fn gateway(part: &Part<Gateway>) -> Vec<Line<'static>> {
    let Some(seen) = &part.seen else {
        return missing("gateway", part.missing.as_deref());
    };
    let mut lines = vec![
        title("gateway"),
        pairs(&[
            ("requests/s", rate(seen.requests_per_s)),
            ("in flight", count(seen.in_flight)),
            ("pending", count(seen.pending)),
            ("watches", count(seen.watches)),
        ]),
        pairs(&[
            ("ledger behind", count(seen.behind_events)),
            ("memory", seen.memory_bytes.map_or_else(dash, units::bytes)),
        ]),
        by_name("outcomes/s", &seen.outcomes_per_s),
    ];
    if seen.refusals_per_s.values().any(|rate| *rate > 0.0) {
        lines.push(by_name("refusals/s", &seen.refusals_per_s));
    }
    let is_ready = seen.not_ready.is_empty();
    let ready = if is_ready {
        "yes".to_owned()
    } else {
        format!("no: {}", seen.not_ready.join(", "))
    };
    lines.push(Line::from(vec![
        Span::raw("ready "),
        Span::styled(ready, bad_if(!is_ready)),
    ]));
    lines.extend(stages(&seen.stages));
    lines
}

fn nautilus(part: &Part<Nautilus>) -> Vec<Line<'static>> {
    let Some(seen) = &part.seen else {
        return missing("nautilus", part.missing.as_deref());
    };
    let queued = seen
        .queued
        .iter()
        .map(|(lane, count)| format!("{lane} {count:.0}"));
    let is_bad = seen.eligible == Some(false) || seen.cluster_reachable == Some(false);
    let yes =
        |is: Option<bool>| is.map_or_else(dash, |is| if is { "yes" } else { "no" }.to_owned());
    let stake = |mist: Option<f64>| mist.map_or_else(dash, units::sui);
    let mut lines = vec![
        title("nautilus"),
        pairs(&[
            ("executed/s", rate(seen.executed_per_s)),
            ("at cluster", count(seen.at_cluster)),
            ("held", count(seen.held)),
            ("unanswered", count(seen.unanswered)),
        ]),
        pairs(&[
            ("ledger behind", count(seen.behind_events)),
            ("lag", seen.lag_s.map_or_else(dash, |lag| ms(lag * 1_000.0))),
            ("memory", seen.memory_bytes.map_or_else(dash, units::bytes)),
        ]),
        pairs(&[
            (
                "queued",
                Some(queued.collect::<Vec<_>>().join(", "))
                    .filter(|text| !text.is_empty())
                    .unwrap_or_else(dash),
            ),
            ("unknown", count(seen.unknown)),
        ]),
        Line::from(vec![Span::styled(
            format!(
                "eligible {}  cluster {}  stake {} of {}",
                yes(seen.eligible),
                yes(seen.cluster_reachable),
                stake(seen.stake_mist),
                stake(seen.stake_required_mist)
            ),
            bad_if(is_bad),
        )]),
    ];
    lines.extend(stages(&seen.stages));
    lines
}

fn stages(stages: &[Stage]) -> Vec<Line<'static>> {
    let mut lines = vec![heads(format!(
        "{:<12}{:>9}{:>11}{:>11}",
        "STAGE", "PER S", "P50", "P99"
    ))];
    for stage in stages.iter().take(MAX_STAGES) {
        let time = |found: Option<f64>| found.map_or_else(dash, ms);
        lines.push(Line::raw(format!(
            "{:<12.12}{:>9}{:>11}{:>11}",
            stage.stage,
            rate(stage.per_s),
            time(stage.p50_ms),
            time(stage.p99_ms)
        )));
    }
    lines.push(Line::default());
    lines
}

fn ledger(part: &Part<OnLedger>, skipped: usize) -> Vec<Line<'static>> {
    let Some(seen) = &part.seen else {
        return missing("ledger", part.missing.as_deref());
    };
    let mut lines = vec![
        Line::from(vec![
            Span::styled("ledger", bold()),
            Span::raw(format!("  at {}", seen.sequence)),
        ]),
        heads(format!(
            "{:<14}{:<14}{:>9}{:>12}{:>14}",
            "EXECUTOR", "STATUS", "WAITING", "SILENT", "STAKE"
        )),
    ];
    for executor in &seen.executors {
        let silent = executor.silent_ms.map_or_else(dash, |silent| {
            format!("{}.{} s", silent / 1_000, silent % 1_000 / 100)
        });
        let is_silent = executor.waiting > 0 && executor.silent_ms.is_none_or(|ms| ms > SILENT_MS);
        lines.push(Line::styled(
            format!(
                "{:<14}{:<14}{:>9}{:>12}{:>14}",
                short(&executor.id.to_string()),
                executor.status,
                executor.waiting,
                silent,
                Amount(executor.stake_mist).to_string()
            ),
            bad_if(is_silent || executor.status == "not eligible"),
        ));
    }
    lines.push(Line::default());
    lines.push(heads(format!(
        "{:<14}{:<14}{:>9}{:>12}{:>14}{:>14}",
        "TOKEN", "STATUS", "PER S", "REQUESTS", "UNANSWERED", "STAKE"
    )));
    for token in seen.tokens.iter().skip(skipped) {
        lines.push(Line::raw(format!(
            "{:<14}{:<14}{:>9}{:>12}{:>14}{:>14}",
            short(&token.id.to_string()),
            token.status,
            rate(token.requests_per_s),
            token.requests,
            token.unanswered,
            Amount(token.stake_mist).to_string()
        )));
    }
    if seen.token_count > seen.tokens.len() {
        let more = seen.token_count - seen.tokens.len();
        lines.push(Line::raw(format!("and {more} more")));
    }
    lines
}

fn missing(name: &'static str, why: Option<&str>) -> Vec<Line<'static>> {
    let why = why.unwrap_or("nothing is known").to_owned();
    vec![
        title(name),
        Line::styled(why, bad_if(true)),
        Line::default(),
    ]
}

fn pairs(pairs: &[(&'static str, String)]) -> Line<'static> {
    let mut spans = Vec::new();
    for (name, value) in pairs {
        spans.push(Span::raw(format!("{name} ")));
        spans.push(Span::styled(format!("{value}  "), bold()));
    }
    Line::from(spans)
}

/// Those that are more than nothing, by name.
fn by_name(title: &'static str, rates: &BTreeMap<String, f64>) -> Line<'static> {
    let some = rates.iter().filter(|(_, rate)| **rate > 0.0);
    let some: Vec<String> = some
        .map(|(name, rate)| format!("{name} {rate:.1}"))
        .collect();
    let text = if some.is_empty() {
        "none".to_owned()
    } else {
        some.join("  ")
    };
    let is_bad = rates
        .iter()
        .any(|(name, rate)| *rate > 0.0 && BAD.contains(&name.as_str()));
    Line::from(vec![
        Span::raw(format!("{title} ")),
        Span::styled(text, bad_if(is_bad)),
    ])
}

fn title(text: &'static str) -> Line<'static> {
    Line::styled(text, bold())
}

fn heads(text: String) -> Line<'static> {
    Line::styled(text, Style::new().add_modifier(Modifier::DIM))
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn bad_if(is_bad: bool) -> Style {
    if is_bad {
        Style::new().fg(Color::Red)
    } else {
        Style::new()
    }
}

fn rate(rate: Option<f64>) -> String {
    rate.map_or_else(dash, |rate| format!("{rate:.1}"))
}

fn count(count: Option<f64>) -> String {
    count.map_or_else(dash, |count| format!("{count:.0}"))
}

fn dash() -> String {
    "-".to_owned()
}

fn ms(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1_000.0),
    }
}

/// The beginning of an ID, by which people tell them apart.
fn short(id: &str) -> String {
    format!("{id:.10}\u{2026}")
}

fn rows(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
}

/// Columns from which the two services stand beside each other.
const SIDE_BY_SIDE: u16 = 120;
const MAX_STAGES: usize = 12;
/// An executor that has something to answer and does not is red after that.
const SILENT_MS: u64 = 10_000;
/// Outcomes that nobody wants.
const BAD: [&str; 3] = ["unanswered", "undelivered", "unknown"];

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::commands::top::seen::{Disk, OfExecutor, OfToken};

    fn stage(stage: String) -> Stage {
        Stage {
            stage,
            per_s: Some(f64::MAX),
            p50_ms: Some(0.0004),
            p99_ms: Some(1e300),
        }
    }

    fn worst() -> Seen {
        let some = Some(1e18);
        let by = |name: &str| BTreeMap::from([(name.to_owned(), 1e18)]);
        let token = |number: u8| OfToken {
            id: [number; 32].into(),
            status: "not valid",
            requests: u64::MAX,
            requests_per_s: Some(1e300),
            unanswered: u64::MAX,
            stake_mist: u64::MAX,
        };
        Seen {
            at_ms: u64::MAX,
            gateway: Part {
                missing: None,
                seen: Some(Gateway {
                    requests_per_s: some,
                    outcomes_per_s: by("unknown"),
                    refusals_per_s: by(&"\u{1f980}".repeat(160)),
                    not_ready: vec!["\u{0301}".repeat(160)],
                    stages: (0..64)
                        .map(|number| stage(format!("stage-{number}")))
                        .collect(),
                    ..Gateway::default()
                }),
            },
            nautilus: Part::missing("\u{202e}\u{1b}[2J \u{1f980}\u{200d}".repeat(100)),
            ledger: Part {
                missing: None,
                seen: Some(OnLedger {
                    sequence: u64::MAX.to_string(),
                    time_ms: u64::MAX,
                    executors: vec![OfExecutor {
                        id: [7; 32].into(),
                        status: "eligible",
                        stake_mist: u64::MAX,
                        stake_required_mist: 0,
                        silent_ms: Some(u64::MAX),
                        waiting: u64::MAX,
                    }],
                    tokens: (0..100).map(token).collect(),
                    token_count: 1_000,
                }),
            },
            disk: vec![Disk {
                at: "ledger".to_owned(),
                free_bytes: 1e300,
                reserve_bytes: Some(f64::MAX),
            }],
        }
    }

    #[test]
    fn it_fits_into_a_terminal_of_any_size() {
        let seen = worst();
        for width in [0, 1, 2, 7, 40, 80, 119, 120, 121, 500] {
            for height in [0, 1, 2, 3, 10, 24, 200] {
                let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
                for skipped in [0, 1, 99, 100, usize::MAX] {
                    let draw = |frame: &mut ratatui::Frame<'_>| {
                        let area = frame.area();
                        super::draw(&seen, skipped, area, frame.buffer_mut());
                    };
                    terminal.draw(draw).unwrap();
                }
            }
        }
    }

    #[test]
    fn what_wants_attention_is_red_and_tokens_are_gone_through() {
        let mut terminal = Terminal::new(TestBackend::new(80, 60)).unwrap();
        let seen = worst();
        let mut screen = |skipped: usize| {
            let drawn = terminal.draw(|frame| {
                let area = frame.area();
                draw(&seen, skipped, area, frame.buffer_mut());
            });
            let buffer = drawn.unwrap().buffer.clone();
            let is_red = |text: &str| {
                let lines = (0..60_u16).map(|row| {
                    let cells = (0..80).map(|column| &buffer[(column, row)]);
                    let line: String = cells.clone().map(|cell| cell.symbol()).collect();
                    let is_red = cells.into_iter().any(|cell| cell.fg == Color::Red);
                    (line, is_red)
                });
                let mut lines: Vec<(String, bool)> = lines.collect();
                lines.retain(|(line, _)| line.contains(text));
                lines.first().map(|(_, is_red)| *is_red)
            };
            [
                is_red("outcomes/s unknown"),
                is_red("ready no"),
                is_red("0x07070707"),
                is_red("0x00000000"),
                is_red("requests/s"),
            ]
        };
        let red = Some(true);
        assert_eq!(screen(0), [red, red, red, Some(false), Some(false)]);
        assert_eq!(screen(1)[3], None, "the first token is passed over");
    }

    #[test]
    fn nothing_that_is_drawn_moves_the_cursor() {
        let text = text(&worst());
        for char in text.chars() {
            assert!(char == '\n' || !char.is_control(), "{char:?}");
        }
        assert!(text.contains("and 900 more"), "{text}");
    }
}
