//! `arb history`: one line for each frame.

use std::ops::ControlFlow;

use arb_core::{ChannelId, ChannelIndex, Entry, Event, Frame};
use serde::Serialize;

use super::failure::{Answer, Failure, Verdict};
use super::output;
use super::source::{JournalArguments, Source};
use super::words;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    journal: JournalArguments,
    /// Show only this channel: its id, or the beginning of it.
    #[arg(long, value_name = "ID")]
    channel: Option<String>,
}

#[derive(Serialize)]
struct History {
    frames: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    seq: u64,
    height: u32,
    entries: Vec<Told>,
}

#[derive(Serialize)]
struct Told {
    channel: Option<String>,
    heard: String,
    concluded: Vec<Concluded>,
}

#[derive(Serialize)]
struct Concluded {
    channel: String,
    what: String,
}

/// What a reader of the frames knows so far.
#[derive(Default)]
struct Teller {
    height: u32,
    /// Ids of channels by their index. Channels that were opened in frames that are gone may be missing.
    names: Vec<(ChannelIndex, ChannelId)>,
    next: u32,
    wanted: Option<String>,
}

/// Prints the frames.
pub(crate) fn run(options: &Options, json: bool) -> Answer {
    let source = Source::open(&options.journal)?;
    let wanted = options.channel.as_deref().map(str::to_lowercase);
    let mut teller = Teller { wanted: wanted.clone(), ..Teller::default() };
    if source.first() > 1 {
        teller.begin_late(&source)?;
    }
    let mut lines = Vec::new();
    let failed = source.frames(|frame| {
        let Some(line) = teller.frame(frame) else { return ControlFlow::Continue(()) };
        if json {
            lines.push(line);
            return ControlFlow::Continue(());
        }
        match output::print(&line.text(teller.names.len() > 1)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => ControlFlow::Break(failure),
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    let is_known = |wanted: &String| teller.names.iter().any(|(_, id)| id.to_string().starts_with(wanted));
    if let Some(channel) = wanted.filter(|wanted| !is_known(wanted)) {
        return Err(Failure::NoChannel { path: source.path().to_owned(), channel });
    }
    if json {
        output::json(&History { frames: lines })?;
    }
    Ok(Verdict::Good)
}

impl Teller {
    /// For a journal whose first frames are gone: takes the channels that exist from its checkpoint.
    fn begin_late(&mut self, source: &Source) -> Result<(), Failure> {
        // An .arb file has no checkpoint, so its channels are shown by index.
        let Ok(court) = source.court(None) else { return Ok(()) };
        self.names.extend(court.channels().map(|(index, channel)| (index, *channel.id())));
        self.next = u32::MAX;
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Option<Line> {
        let entries: Vec<Told> = frame.entries.iter().filter_map(|entry| self.entry(entry)).collect();
        let told = self.wanted.is_none() || !entries.is_empty();
        told.then_some(Line { seq: frame.sequence, height: self.height, entries })
    }

    fn entry(&mut self, entry: &Entry) -> Option<Told> {
        self.learn(&entry.heard);
        let channel = words::channel(&entry.heard).map(|id| id.to_string());
        let concluded = entry
            .concluded
            .iter()
            .map(|record| Concluded { channel: self.name(record.channel), what: words::conclusion(&record.what) });
        let mut concluded: Vec<Concluded> = concluded.collect();
        if let Some(wanted) = &self.wanted {
            concluded.retain(|concluded| concluded.channel.starts_with(wanted));
            let about = channel.as_ref().is_some_and(|channel| channel.starts_with(wanted));
            if concluded.is_empty() && !about {
                return None;
            }
        }
        Some(Told { channel, heard: words::event(&entry.heard), concluded })
    }

    /// Channels get indexes in the order of opening, and no index twice.
    fn learn(&mut self, event: &Event) {
        self.height = words::height_after(event).unwrap_or(self.height);
        if let Some(id) = words::opened(event).filter(|_| self.next < u32::MAX) {
            self.names.push((ChannelIndex::new(self.next), id));
            self.next += 1;
        }
    }

    fn name(&self, index: ChannelIndex) -> String {
        let known = self.names.iter().rev().find(|(known, _)| *known == index);
        known.map_or_else(|| format!("#{index}"), |(_, id)| id.to_string())
    }
}

impl Line {
    fn text(&self, many: bool) -> String {
        let entries: Vec<String> = self.entries.iter().map(|entry| entry.text(many)).collect();
        format!("{:>5}  {:>7}  {}", self.seq, self.height, entries.join(" | "))
    }
}

impl Told {
    fn text(&self, many: bool) -> String {
        let begin = |id: &String| id.chars().take(8).collect::<String>();
        let heard = match &self.channel {
            Some(channel) if many => format!("[{}] {}", begin(channel), self.heard),
            Some(_) | None => self.heard.clone(),
        };
        if self.concluded.is_empty() {
            return heard;
        }
        let each = self.concluded.iter().map(|concluded| {
            let whose = if many { format!("[{}] ", begin(&concluded.channel)) } else { String::new() };
            format!("{whose}{}", concluded.what)
        });
        format!("{heard} → {}", each.collect::<Vec<_>>().join("; "))
    }
}
