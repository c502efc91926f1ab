//! The one conversation that lasts: lists the lanes, and hears what becomes of them.

use std::time::Duration;

use serde::Serialize;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::conversation::{Conversation, Heard};
use super::device::Device;
use super::fault::{Fault, not_a_gateway};
use super::frame::{self, Frame};
use super::keeper::Aim;
use super::lanes::{Effect, Lanes};
use super::link::LinkSettings;
use super::list::{self, LANES_MAX, Listed};
use super::socket::Address;
use super::speak::Scope;
use crate::clock::Clock;
use crate::model::{Answers, RpcFault, Version};

/// How old a list may get while events are heard. They tell of every change; this is for what they
/// might have missed.
const LIST_AGE_MAX: Duration = Duration::from_secs(240);
/// How many missed ticks make a connection dead.
const TICKS_MISSED: u32 = 3;
/// The first version whose list has pages.
const PAGES: Version = Version::new(2026, 7, 1);
const PAGE: usize = 1_000;
/// Of a line that stays: the buffer that a page arrived in stays with it.
const PAGE_KEPT: usize = 200;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListParams {
    limit: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
    include_global: bool,
    include_unknown: bool,
}

#[derive(Serialize)]
struct Nothing {}

pub(super) struct Line {
    conversation: Conversation,
    lanes: Lanes,
    /// When the lanes were listed; `None`: what is known is out of date.
    listed_at: Option<Instant>,
    heard_at: Instant,
    took: Duration,
    hears: bool,
    is_stopping: bool,
    url: String,
}

impl Line {
    pub(super) async fn open(
        settings: &LinkSettings,
        aim: &Aim,
        device: &Device,
        deadline: Instant,
    ) -> Result<Line, Fault> {
        let target = &aim.target;
        let conversation = settings.open(target, device, Scope::Read, deadline).await?;
        is_right(settings, Scope::Read, aim)?;
        if conversation.hello().has_scope == Some(false) {
            let text = "the gateway gives the credentials no operator.read".to_owned();
            return Err(Fault::new(RpcFault::MissingScope, text));
        }
        let mut line = Line {
            conversation,
            lanes: Lanes::default(),
            listed_at: None,
            heard_at: Instant::now(),
            took: Duration::ZERO,
            hears: false,
            is_stopping: false,
            url: target.url.clone(),
        };
        if settings.stays {
            line.subscribe(deadline, settings.clock).await?;
        }
        Ok(line)
    }

    async fn subscribe(&mut self, deadline: Instant, clock: Clock) -> Result<(), Fault> {
        let lanes = &mut self.lanes;
        let heard = |event: Heard<'_>| {
            lanes.hear(&event, clock.now());
        };
        let ask =
            self.conversation.ask("sessions.subscribe", Nothing {}, deadline, heard, |_| Some(()));
        ask.await?;
        self.lanes.subscribed(clock.now());
        self.hears = true;
        self.heard_at = Instant::now();
        Ok(())
    }

    /// Returns what is known, listed anew if that is wanted or needed.
    pub(super) async fn answers(
        &mut self,
        is_fresh: bool,
        deadline: Instant,
        clock: Clock,
    ) -> Result<Box<Answers>, Fault> {
        let is_young = self.listed_at.is_some_and(|at| at.elapsed() < LIST_AGE_MAX);
        if is_fresh || !self.hears || !is_young {
            self.list(deadline, clock).await?;
        }
        if self.is_stopping {
            return Err(Fault::new(RpcFault::Unavailable, "the gateway says that it is stopping"));
        }
        let hello = self.conversation.hello();
        let (lanes, is_complete) = self.lanes.known();
        Ok(Box::new(Answers {
            version: hello.version,
            protocol: hello.protocol,
            boot_id: hello.boot_id.clone(),
            state_dir: hello.state_dir.clone(),
            lanes,
            is_complete,
            took: self.took,
            event_loop: None,
            lost: self.lanes.lost(),
        }))
    }

    async fn list(&mut self, deadline: Instant, clock: Clock) -> Result<(), Fault> {
        let began = Instant::now();
        let has_pages = self.conversation.hello().version.is_some_and(|version| version >= PAGES);
        let limit = match (has_pages, self.hears) {
            (false, _) => LANES_MAX,
            (true, false) => PAGE,
            (true, true) => PAGE_KEPT,
        };
        let asked_at = clock.now();
        self.lanes.make_room();
        let mut all = Listed::default();
        let mut is_lost = false;
        let mut offset = None;
        loop {
            let params = ListParams { limit, offset, include_global: true, include_unknown: true };
            let lanes = &mut self.lanes;
            let heard = |event: Heard<'_>| {
                is_lost |= lanes.hear(&event, clock.now()) == Effect::Lost;
            };
            let ask = &mut self.conversation;
            let page =
                ask.ask_patiently("sessions.list", &params, deadline, heard, list::read).await?;
            all.lanes.extend(page.lanes);
            all.is_complete = page.is_complete;
            let is_forward = page.next_offset > offset;
            offset = page.next_offset.filter(|_| is_forward && all.lanes.len() < LANES_MAX);
            if offset.is_none() {
                break;
            }
        }
        self.took = began.elapsed();
        is_lost |= self.lanes.relist(all, asked_at);
        self.heard_at = Instant::now();
        self.listed_at = Some(self.heard_at).filter(|_| !is_lost);
        Ok(())
    }

    pub(super) async fn listen(&mut self) -> Result<Utf8Bytes, Fault> {
        self.conversation.listen().await
    }

    /// Takes in what the gateway said by itself. Returns true if somebody should look.
    pub(super) fn heard(&mut self, text: &str, clock: Clock) -> Result<bool, Fault> {
        self.heard_at = Instant::now();
        let Some(frame) = frame::read(text) else {
            return Err(not_a_gateway(&self.url, "not JSON"));
        };
        let Frame::Event { name, seq, payload } = frame else { return Ok(false) };
        let event = Heard { name: &name, seq, payload };
        Ok(match self.lanes.hear(&event, clock.now()) {
            Effect::None => false,
            Effect::Changed => true,
            Effect::Lost => {
                self.listed_at = None;
                true
            }
            Effect::Stopping => {
                self.is_stopping = true;
                true
            }
        })
    }

    /// When it has said nothing for so long that the connection is dead.
    pub(super) fn silent_at(&self) -> Instant {
        self.heard_at + self.conversation.hello().tick * TICKS_MISSED
    }

    pub(super) fn silence(&self) -> Fault {
        let text = format!("{} stopped saying anything", self.url);
        Fault::new(RpcFault::Deaf, text)
    }

    pub(super) async fn close(self) {
        self.conversation.close().await;
    }
}

/// Fails unless the socket that listens on the port of `aim` belongs to its process.
pub(super) fn is_right(settings: &LinkSettings, scope: Scope, aim: &Aim) -> Result<(), Fault> {
    let (url, process) = (&aim.target.url, aim.process);
    let port = Address::parse(url).map(|address| address.port);
    let port = port.ok_or_else(|| Fault::new(RpcFault::Internal, "no address"))?;
    (settings.is_right)(scope, process, port).map_err(|why| {
        Fault::new(RpcFault::WrongGateway, format!("what answers on {url} is not {process}: {why}"))
    })
}
