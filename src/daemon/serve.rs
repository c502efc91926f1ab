//! The loop itself.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::{self, Instant};
use tracing::{debug, error, info};

use super::pace::Pace;
use super::signals::StopFlag;
use super::sources::{Event, Sources};
use super::supervisor::Supervisor;
use super::wake::Wake;
use super::{Pass, PassSummary};
use crate::observe::watch::Change;
use crate::text::escape;

/// How long the signal that set the stop flag may take to tell its sender.
const SENDER_WITHIN: Duration = Duration::from_millis(200);

/// Runs passes until a stop is asked for.
pub(super) async fn serve<P: Pass, S: Sources>(
    interval: Duration,
    pass: &mut P,
    sources: &mut S,
    supervisor: &Supervisor,
    stop: &StopFlag,
) {
    let now = Instant::now();
    let next = Cell::new(now);
    let pulse = supervisor.pulse().map(|every| Pulse { every, next, supervisor });
    pulse.iter().for_each(|pulse| pulse.rest(now));
    let pace = Pace::new(interval, now);
    let mut course =
        Course { pass, sources, supervisor, stop, pace, pulse, begun: Begun::default() };
    loop {
        let wake = course.wait().await;
        if matches!(wake, Wake::Stop { .. }) {
            supervisor.stopping();
            info!("stopped by {wake}");
            return;
        }
        course.look(&wake);
    }
}

/// What one run of the loop keeps.
struct Course<'a, P, S> {
    pass: &'a mut P,
    sources: &'a mut S,
    supervisor: &'a Supervisor,
    stop: &'a StopFlag,
    pace: Pace,
    pulse: Option<Pulse<'a>>,
    begun: Begun,
}

/// What the service manager was told.
#[derive(Default)]
struct Begun {
    is_ready: bool,
    /// The configuration on disk was refused; an older one is in force.
    is_refused: bool,
}

/// When the service manager wants to hear from us.
struct Pulse<'a> {
    every: Duration,
    next: Cell<Instant>,
    supervisor: &'a Supervisor,
}

impl Pulse<'_> {
    /// A pass that hangs never comes here, which is what a watchdog is for.
    fn beat(&self, now: Instant) {
        if now >= self.next.get() {
            self.rest(now);
            self.supervisor.alive();
        }
    }

    fn rest(&self, now: Instant) {
        self.next.set(now + self.every);
    }
}

impl<P: Pass, S: Sources> Course<'_, P, S> {
    /// Waits for a reason to run a pass, or to stop.
    async fn wait(&mut self) -> Wake {
        loop {
            if self.stop.is_set() {
                return self.stop_wake().await;
            }
            // Judged here and not in the select: sources that always have something to tell
            // cannot starve the timers then.
            let now = Instant::now();
            self.pulse.iter().for_each(|pulse| pulse.beat(now));
            if now >= self.pace.next() {
                return self.pace.wake();
            }
            let timer = self
                .pulse
                .as_ref()
                .map_or(self.pace.next(), |pulse| pulse.next.get().min(self.pace.next()));
            tokio::select! {
                biased;
                event = self.sources.next() => match event {
                    Event::Signal(wake) => return wake,
                    Event::Exited(id) => return Wake::ProcessExited(id),
                    Event::Started(pid) => self.pace.started(pid),
                    Event::Changed(change) => self.pace.changed(change, Instant::now()),
                },
                () = time::sleep_until(timer) => {}
            }
        }
    }

    /// Runs a pass, after a reload if `wake` asks for one.
    fn look(&mut self, wake: &Wake) {
        match wake {
            Wake::Reload { .. } | Wake::ConfigChanged => self.reload(wake),
            Wake::Requested { .. } => info!("looking: {wake}"),
            Wake::Tick
            | Wake::FileChanged
            | Wake::ProcessExited(_)
            | Wake::ProcessStarted(_)
            | Wake::Stop { .. } => debug!("looking: {wake}"),
        }
        let (stop, pulse) = (self.stop, &self.pulse);
        let summary = self.pass.pass(wake, &|| {
            pulse.iter().for_each(|pulse| pulse.beat(Instant::now()));
            stop.is_set()
        });
        let now = Instant::now();
        self.pace.passed(wake, summary.next_look, now);
        if self.sources.retarget(&summary) {
            self.pace.changed(Change::Files, now);
        }
        self.tell(&summary);
    }

    fn reload(&mut self, wake: &Wake) {
        self.supervisor.reloading();
        match self.pass.reload() {
            Ok(interval) => {
                self.begun.is_refused = false;
                self.pace.set_interval(interval);
                info!("configuration reloaded: {wake}");
            }
            Err(problems) => {
                self.begun.is_refused = true;
                error!("configuration refused, the last good one stays in force: {wake}");
                problems.lines().for_each(|problem| error!("{}", escape(problem)));
            }
        }
        // A manager that waits for a reload has to hear of its end.
        self.begun.is_ready = false;
    }

    fn tell(&mut self, summary: &PassSummary) {
        let refused = "configuration refused, the last good one is in force; ";
        let prefix = if self.begun.is_refused { refused } else { "" };
        let status = format!("{prefix}{}", summary.status_line);
        if std::mem::replace(&mut self.begun.is_ready, true) {
            self.supervisor.status(&status);
        } else {
            self.supervisor.ready(&status);
        }
    }

    /// The flag is set before the signal itself arrives, and it does not name the sender.
    async fn stop_wake(&mut self) -> Wake {
        let stop = async {
            loop {
                if let Event::Signal(wake @ Wake::Stop { .. }) = self.sources.next().await {
                    return wake;
                }
            }
        };
        let unnamed = Wake::Stop { sender: None, signal: signal_hook::consts::SIGTERM };
        time::timeout(SENDER_WITHIN, stop).await.unwrap_or(unnamed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::signals::Sender;
    use crate::model::ProcessId;
    use crate::observe::watch::WatchSet;
    use std::collections::VecDeque;

    const STOP: Wake = Wake::Stop { sender: Some(Sender { pid: 1, uid: 0 }), signal: 15 };
    const FILES: Event = Event::Changed(Change::Files);

    /// Events at ms after the start.
    struct Script {
        zero: Instant,
        events: VecDeque<(u64, Event)>,
        /// Says that something new is watched, as often as this.
        news: usize,
    }

    impl Sources for Script {
        async fn next(&mut self) -> Event {
            let Some(&(ms, event)) = self.events.front() else {
                return std::future::pending().await;
            };
            time::sleep_until(self.zero + Duration::from_millis(ms)).await;
            self.events.pop_front();
            event
        }

        fn retarget(&mut self, _: &PassSummary) -> bool {
            let news = self.news > 0;
            self.news = self.news.saturating_sub(1);
            news
        }
    }

    /// Notes when it was run and why.
    struct Note {
        zero: Instant,
        seen: Vec<(u64, Wake)>,
        next_look: Option<Duration>,
        reload: Result<Duration, String>,
        /// Sets the stop flag in the pass of this number.
        stops_in: usize,
        stop: StopFlag,
        /// How long each pass waits for something, and asks meanwhile.
        takes: Duration,
    }

    impl Pass for Note {
        fn pass(&mut self, wake: &Wake, stop: &dyn Fn() -> bool) -> PassSummary {
            let begun = Instant::now();
            while begun.elapsed() < self.takes && !stop() {
                std::thread::sleep(Duration::from_millis(1));
            }
            self.seen.push(((Instant::now() - self.zero).as_millis() as u64, *wake));
            if self.seen.len() == self.stops_in {
                self.stop.set();
                assert!(stop());
            }
            let watch = WatchSet::default();
            let status_line = format!("pass {}", self.seen.len());
            PassSummary { status_line, watch, next_look: self.next_look, ..PassSummary::default() }
        }

        fn reload(&mut self) -> Result<Duration, String> {
            self.reload.clone()
        }
    }

    fn bed(events: &[(u64, Event)]) -> (Script, Note) {
        let zero = Instant::now();
        let reload = Ok(Duration::from_secs(1));
        (
            Script { zero, events: events.iter().copied().collect(), news: 0 },
            Note {
                zero,
                seen: Vec::new(),
                next_look: None,
                reload,
                stops_in: 0,
                stop: StopFlag::default(),
                takes: Duration::ZERO,
            },
        )
    }

    async fn play(script: &mut Script, note: &mut Note) -> Vec<(u64, Wake)> {
        let interval = Duration::from_secs(10);
        let supervisor = Supervisor::default();
        let stop = note.stop.clone();
        let served = serve(interval, note, script, &supervisor, &stop);
        time::timeout(Duration::from_hours(1), served).await.expect("it stops");
        note.seen.clone()
    }

    async fn run(events: &[(u64, Event)]) -> Vec<(u64, Wake)> {
        let (mut script, mut note) = bed(events);
        play(&mut script, &mut note).await
    }

    #[tokio::test(start_paused = true)]
    async fn looks_at_once_and_then_by_the_interval() {
        let seen = run(&[(25_000, Event::Signal(STOP))]).await;
        assert_eq!(seen, [(0, Wake::Tick), (10_000, Wake::Tick), (20_000, Wake::Tick)]);
    }

    #[tokio::test(start_paused = true)]
    async fn folds_a_burst_of_changes_into_one_pass() {
        let burst = (0..10).map(|n| (2_000 + n * 20, FILES));
        let events: Vec<_> = burst.chain([(5_000, Event::Signal(STOP))]).collect();
        assert_eq!(run(&events).await, [(0, Wake::Tick), (2_380, Wake::FileChanged)]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_burst_is_served_within_a_second_and_not_more_than_twice_a_second() {
        let storm = (0..5_000).map(|n| (1_000 + n, FILES));
        let events: Vec<_> = storm.chain([(6_000, Event::Signal(STOP))]).collect();
        let seen = run(&events).await;
        assert!(seen.len() >= 6, "{seen:?}");
        for pair in seen[1..].windows(2) {
            let gap = pair[1].0 - pair[0].0;
            assert!((500..=1_000).contains(&gap), "{seen:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn changes_that_never_pause_starve_neither_timer_nor_stop() {
        let flood = std::iter::repeat_n((0, FILES), 100_000);
        let events: Vec<_> = flood.chain([(12_000, Event::Signal(STOP))]).collect();
        let seen = run(&events).await;
        assert_eq!(seen[0], (0, Wake::Tick));
        assert_eq!(seen.last().unwrap().1, Wake::Tick);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_process_and_a_request_are_served_at_once() {
        let id = ProcessId { pid: 7, start_ticks: 1 };
        let requested = Wake::Requested { sender: None };
        let events =
            [(3, Event::Exited(id)), (4, Event::Signal(requested)), (5, Event::Signal(STOP))];
        let want = [(0, Wake::Tick), (3, Wake::ProcessExited(id)), (4, requested)];
        assert_eq!(run(&events).await, want);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_begins_is_looked_at_at_once() {
        let events = [(3_000, Event::Started(7)), (5_000, Event::Signal(STOP))];
        assert_eq!(run(&events).await, [(0, Wake::Tick), (3_000, Wake::ProcessStarted(7))]);
    }

    /// A thousand starts in 100 s: at most ten passes at first, then one in 5 s.
    #[tokio::test(start_paused = true)]
    async fn a_storm_of_new_processes_is_a_bounded_number_of_passes() {
        let storm = (0..1_000_u16).map(|n| (1_000 + u64::from(n) * 100, Event::Started(n.into())));
        let events: Vec<_> = storm.chain([(150_000, Event::Signal(STOP))]).collect();
        let (mut script, mut note) = bed(&events);
        let seen = play(&mut script, &mut note).await;
        let for_them = |(_, wake): &&(u64, Wake)| matches!(wake, Wake::ProcessStarted(_));
        let count = seen.iter().filter(for_them).count();
        assert!((25..=30).contains(&count), "{count} of {seen:?}");
        let last = seen.iter().rev().find(for_them).unwrap();
        assert!((100_900..=105_900).contains(&last.0), "the last are not forgotten: {last:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_becomes_due_is_looked_at_before_the_interval_is_over() {
        let (mut script, mut note) = bed(&[(15_000, Event::Signal(STOP))]);
        note.next_look = Some(Duration::from_secs(7));
        let seen = play(&mut script, &mut note).await;
        assert_eq!(seen, [(0, Wake::Tick), (7_000, Wake::Tick), (14_000, Wake::Tick)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_that_is_new_is_looked_at_once_more() {
        let (mut script, mut note) = bed(&[(5_000, Event::Signal(STOP))]);
        script.news = 1;
        let seen = play(&mut script, &mut note).await;
        assert_eq!(seen, [(0, Wake::Tick), (500, Wake::FileChanged)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_during_a_pass_is_the_last_thing_although_files_changed() {
        let events: Vec<_> = (0..500).map(|_| (0, FILES)).collect();
        let (mut script, mut note) = bed(&events);
        note.stops_in = 2;
        let seen = play(&mut script, &mut note).await;
        assert_eq!(seen, [(0, Wake::Tick), (500, Wake::FileChanged)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_brings_its_interval() {
        for wake in [Wake::Reload { sender: None }, Wake::ConfigChanged] {
            let event = match wake {
                Wake::ConfigChanged => Event::Changed(Change::Config),
                wake => Event::Signal(wake),
            };
            let seen = run(&[(1_000, event), (2_500, Event::Signal(STOP))]).await;
            let at = if wake == Wake::ConfigChanged { 1_200 } else { 1_000 };
            assert_eq!(seen, [(0, Wake::Tick), (at, wake), (at + 1_000, Wake::Tick)]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bad_configuration_changes_nothing() {
        let reload = Event::Signal(Wake::Reload { sender: None });
        let (mut script, mut note) = bed(&[(1_000, reload), (12_000, Event::Signal(STOP))]);
        note.reload = Err("interval: 5 seconds\nis no duration".to_owned());
        let seen = play(&mut script, &mut note).await;
        let reloaded = Wake::Reload { sender: None };
        assert_eq!(seen, [(0, Wake::Tick), (1_000, reloaded), (11_000, Wake::Tick)]);
    }

    #[cfg(target_os = "linux")]
    fn heard(manager: &std::os::unix::net::UnixDatagram) -> Vec<String> {
        manager.set_nonblocking(true).unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        while let Ok(length) = manager.recv(&mut buffer) {
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            let lines = message.lines().filter(|line| !line.starts_with("MONOTONIC"));
            heard.extend(lines.map(str::to_owned));
        }
        heard
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_pass_that_waits_for_something_is_alive() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("notify");
        let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(Some(path.as_os_str()), Some(Duration::from_millis(80)));
        let (mut script, mut note) = bed(&[(0, Event::Signal(STOP))]);
        (note.takes, note.stops_in) = (Duration::from_millis(250), 1);
        let stop = note.stop.clone();
        serve(Duration::from_secs(10), &mut note, &mut script, &supervisor, &stop).await;
        let heard = heard(&manager);
        let beats = heard.iter().take_while(|line| *line == "WATCHDOG=1").count();
        assert!(beats >= 2 && heard[beats] == "READY=1", "{heard:?}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test(start_paused = true)]
    async fn the_service_manager_hears_everything_in_order() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("notify");
        let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::at(Some(path.as_os_str()), Some(Duration::from_secs(8)));
        let reload = Event::Signal(Wake::Reload { sender: None });
        let (mut script, mut note) = bed(&[(5_000, reload), (16_500, Event::Signal(STOP))]);
        note.reload = Err("line 1: no such policy".to_owned());
        let interval = Duration::from_secs(10);
        serve(interval, &mut note, &mut script, &supervisor, &StopFlag::default()).await;

        let heard = heard(&manager);
        let refused = "configuration refused, the last good one is in force";
        assert_eq!(
            heard,
            [
                "READY=1",
                "STATUS=pass 1",
                "WATCHDOG=1",
                "RELOADING=1",
                "READY=1",
                &format!("STATUS={refused}; pass 2"),
                "WATCHDOG=1",
                "WATCHDOG=1",
                &format!("STATUS={refused}; pass 3"),
                "WATCHDOG=1",
                "STOPPING=1",
                "STATUS=stopping",
            ]
        );
    }
}
