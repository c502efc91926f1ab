//! Where log lines go, and in what form.
//!
//! To the journal by its own protocol if standard error is connected to it, else to standard
//! error as text or JSON Lines. Standard output belongs to the results.
//!
//! A log line is never worth an abort: what cannot be written is dropped.

use std::fmt;
use std::io::{self, IsTerminal};

use thiserror::Error;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Registry;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::text::escape;

/// The environment variable that says what is logged, such as `debug` or
/// `info,clawarden::observe=trace`. It wins over `-v` and `-q`.
pub const FILTER: &str = "CLAWARDEN_LOG";

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// The journal if standard error is connected to it, else text.
    #[default]
    Auto,
    /// Text on standard error.
    Text,
    /// One JSON object per line on standard error.
    Json,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Color {
    /// If standard error is a terminal, is not a dumb one, and `NO_COLOR` is unset or empty.
    #[default]
    Auto,
    /// Yes.
    Always,
    /// No.
    Never,
}

/// What the command line says about logging.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Options {
    /// The form.
    pub format: Format,
    /// The colour.
    pub color: Color,
    /// 0 logs what is done (`info`). One more for each `-v` (`debug`, `trace`), one less for
    /// each `-q` (`warn`, `error`, nothing).
    pub verbosity: i8,
}

/// Why logging could not begin.
#[derive(Debug, Error)]
pub enum LogError {
    /// `CLAWARDEN_LOG` cannot be understood.
    #[error("failed to read `{FILTER}`; it takes levels such as `debug` or `info,clawarden=trace`")]
    Filter(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It has begun already.
    #[error("failed to start logging twice")]
    Twice,
}

/// Starts logging for the whole process.
///
/// # Errors
///
/// Returns an error if `CLAWARDEN_LOG` cannot be understood, or if logging has begun already.
pub fn init(options: &Options) -> Result<(), LogError> {
    let filter = filter(options.verbosity, std::env::var(FILTER).ok().as_deref())?;
    let subscriber = Registry::default().with(layer(options).with_filter(filter));
    tracing::subscriber::set_global_default(subscriber).map_err(|_| LogError::Twice)
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn layer(options: &Options) -> BoxedLayer {
    match options.format {
        Format::Auto => journal().unwrap_or_else(|| text(colored(options.color), io::stderr)),
        Format::Text => text(colored(options.color), io::stderr),
        Format::Json => json(io::stderr),
    }
}

/// An empty variable counts as unset.
fn filter(verbosity: i8, directives: Option<&str>) -> Result<Targets, LogError> {
    match directives.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(Targets::new().with_default(level(verbosity))),
        Some(text) => text.parse().map_err(|error: ParseError| LogError::Filter(error.into())),
    }
}

fn level(verbosity: i8) -> LevelFilter {
    match verbosity {
        ..=-3 => LevelFilter::OFF,
        -2 => LevelFilter::ERROR,
        -1 => LevelFilter::WARN,
        0 => LevelFilter::INFO,
        1 => LevelFilter::DEBUG,
        2.. => LevelFilter::TRACE,
    }
}

fn text<S, W>(ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .with_ansi(ansi)
        .with_target(false)
        .fmt_fields(escaped_fields())
        // It would report a closed standard error on standard error, and panic.
        .log_internal_errors(false)
        .with_writer(writer)
        .boxed()
}

fn json<S, W>(writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .log_internal_errors(false)
        .with_writer(writer)
        .boxed()
}

/// Whoever logs escapes what comes from outside; this is for when somebody forgets.
fn escaped_fields() -> impl for<'a> FormatFields<'a> + Send + Sync + 'static {
    debug_fn(|writer: &mut Writer<'_>, field, value: &dyn fmt::Debug| {
        let value = format!("{value:?}");
        match field.name() {
            "message" => write!(writer, "{}", escape(&value)),
            name => write!(writer, "{name}={}", escape(&value)),
        }
    })
    .delimited(" ")
}

fn colored(color: Color) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match color {
        Color::Always => true,
        Color::Never => false,
        Color::Auto => io::stderr().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
    }
}

#[cfg(target_os = "linux")]
fn journal() -> Option<BoxedLayer> {
    use std::os::fd::AsFd;
    use tracing_journald::{Priority, PriorityMappings};

    let announced = std::env::var("JOURNAL_STREAM").ok()?;
    if !is_stream(&announced, io::stderr().as_fd()) {
        return None;
    }
    // The usual meaning of our levels: what is done is not yet worth a notice.
    let priorities = PriorityMappings {
        info: Priority::Informational,
        debug: Priority::Debug,
        ..PriorityMappings::new()
    };
    // A journal that does not answer: its stream still takes text.
    let layer = tracing_journald::layer().ok()?.with_priority_mappings(priorities);
    Some(layer.with_syslog_identifier("clawarden".to_owned()).boxed())
}

#[cfg(not(target_os = "linux"))]
fn journal() -> Option<BoxedLayer> {
    None
}

/// Returns true if `announced`, the `device:inode` of `JOURNAL_STREAM`, is what `fd` is connected
/// to. The variable is inherited also by those whose standard error was redirected since.
#[cfg(target_os = "linux")]
fn is_stream(announced: &str, fd: std::os::fd::BorrowedFd<'_>) -> bool {
    let Ok(found) = nix::sys::stat::fstat(fd) else { return false };
    announced == format!("{}:{}", found.st_dev, found.st_ino)
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::Filter;

    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing::{Level, error, info};

    /// Where a test finds the lines again.
    #[derive(Clone, Default)]
    struct Sheet(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sheet {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sheet {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn written(make: impl FnOnce(Sheet) -> BoxedLayer, log: impl FnOnce()) -> String {
        let sheet = Sheet::default();
        let subscriber = Registry::default().with(make(sheet.clone()));
        tracing::subscriber::with_default(subscriber, log);
        sheet.text()
    }

    #[test]
    fn no_data_forges_a_line_of_text() {
        let hostile = "x\n2026-11-20T00:00:00Z ERROR forged \u{1b}[2J\u{202e}";
        let log = || {
            info!("key {hostile}");
            info!(lane = %hostile, "held");
            info!(lane = hostile, "held");
            info!(lane = ?hostile, "held");
            error!(error = &io::Error::other(hostile) as &dyn std::error::Error, "failed");
        };
        for ansi in [false, true] {
            let text = written(|sheet| text(ansi, move || sheet.clone()), log);
            assert_eq!(text.lines().count(), 5, "{text}");
            assert!(!text.contains("\u{1b}[2J") && !text.contains('\u{202e}'), "{text}");
            assert_eq!(text.contains('\u{1b}'), ansi, "{text}");
        }
    }

    #[test]
    fn text_is_level_message_and_fields() {
        let log = || info!(policy = "dead_lock", age_s = 41, "released");
        let text = written(|sheet| text(false, move || sheet.clone()), log);
        let (_, line) = text.split_once("  ").unwrap();
        assert_eq!(line, "INFO released policy=\"dead_lock\" age_s=41\n");
    }

    #[test]
    fn json_is_one_object_per_line() {
        let log = || {
            info!(lane = "a\nb", "held");
            error!("two\nlines");
        };
        let text = written(|sheet| json(move || sheet.clone()), log);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["lane"], "a\nb");
        assert_eq!(lines[1]["message"], "two\nlines");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_closed_standard_error_is_no_panic() {
        struct Closed;
        impl io::Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        for layer in [text(false, || Closed), json(|| Closed)] {
            let subscriber = Registry::default().with(layer);
            tracing::subscriber::with_default(subscriber, || info!("lost"));
        }
    }

    #[track_caller]
    fn check(verbosity: i8, directives: Option<&str>, want: Option<Level>) {
        let filter = filter(verbosity, directives).unwrap();
        let found = Filter::<Registry>::max_level_hint(&filter);
        assert_eq!(found, Some(want.map_or(LevelFilter::OFF, LevelFilter::from)));
    }

    #[test]
    fn verbosity_counts_from_info_and_the_variable_wins() {
        check(0, None, Some(Level::INFO));
        check(1, None, Some(Level::DEBUG));
        check(i8::MAX, None, Some(Level::TRACE));
        check(-1, None, Some(Level::WARN));
        check(-2, None, Some(Level::ERROR));
        check(i8::MIN, None, None);
        check(-2, Some("debug"), Some(Level::DEBUG));
        check(0, Some(" "), Some(Level::INFO));
        assert!(matches!(filter(0, Some("clawarden=loud")), Err(LogError::Filter(_))));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_journal_is_only_what_is_really_connected_to_it() {
        use std::os::fd::AsFd;
        use std::os::unix::fs::MetadataExt;
        let file = tempfile::tempfile().unwrap();
        let found = file.metadata().unwrap();
        let (device, inode) = (found.dev(), found.ino());
        let check = |announced: String| is_stream(&announced, file.as_fd());
        assert!(check(format!("{device}:{inode}")));
        assert!(!check(format!("{device}:{}", inode + 1)));
        assert!(!check(format!("{device}:{inode}0")));
        assert!(!check(String::new()));
    }
}
