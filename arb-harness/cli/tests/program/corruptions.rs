//! Twenty logs in which one conclusion was changed, dropped or doubled, with correct checksums: replay names the frame.

use std::fs;

use arb_core::{Conclusion, ContractOutcome, FailReason, Frame, Height, Notice, Record, StageRecord, Upstream};
use arb_log::arb_file;

use super::support::{Folder, Random, arb, frames, json, kept};

/// How a record is corrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dropped,
    Doubled,
    Height,
    Outcome,
    Feerate,
    Preimage,
    Amount,
    Settled,
}

const KINDS: [Kind; 8] = [
    Kind::Dropped,
    Kind::Doubled,
    Kind::Height,
    Kind::Outcome,
    Kind::Feerate,
    Kind::Preimage,
    Kind::Amount,
    Kind::Settled,
];

/// Changes a record; answers whether it has what `kind` changes.
fn alter(record: &mut Record, kind: Kind) -> bool {
    let later = |height: &mut Height| *height = Height::new(height.get() ^ 1);
    match (kind, &mut record.what) {
        (Kind::Height, Conclusion::UpstreamLinked { expiry: height, .. })
        | (
            Kind::Height,
            Conclusion::Staged {
                stage:
                    StageRecord::Waiting { until: height }
                    | StageRecord::Contested { until: height }
                    | StageRecord::Spent { until: height },
                ..
            },
        ) => later(height),
        (Kind::Outcome, Conclusion::Staged { stage: StageRecord::Done(outcome), .. }) => *outcome = other(*outcome),
        (Kind::Outcome, Conclusion::Noticed(notice)) => match &mut **notice {
            Notice::Report(report) => report.outcome = other(report.outcome),
            Notice::Freeze(_) | Notice::Alert(_) | Notice::Release { .. } | Notice::Resolved(_) => return false,
        },
        (Kind::Feerate, Conclusion::SweepPlanned(sweep)) => sweep.plan.feerate_sat_per_kw += 1,
        (Kind::Preimage, Conclusion::PreimageUsable { preimage, .. })
        | (Kind::Preimage, Conclusion::Released { outcome: Upstream::Settled(preimage), .. }) => preimage.0[7] ^= 0x10,
        (Kind::Amount, Conclusion::Noticed(notice)) => match &mut **notice {
            Notice::Report(report) => report.fee_sat += 1,
            Notice::Resolved(sheet) => (sheet.swept_sat, sheet.fees_sat) = (sheet.swept_sat - 1, sheet.fees_sat + 1),
            Notice::Freeze(_) | Notice::Alert(_) | Notice::Release { .. } => return false,
        },
        (Kind::Amount, Conclusion::SweepPlanned(sweep)) => sweep.plan.fee_sat += 1,
        (Kind::Settled, Conclusion::Released { outcome, .. }) => *outcome = Upstream::Failed(FailReason::ForgetDepth),
        _ => return false,
    }
    true
}

fn other(outcome: ContractOutcome) -> ContractOutcome {
    if outcome == ContractOutcome::Claimed { ContractOutcome::TakenByPeer } else { ContractOutcome::Claimed }
}

/// Corrupts one record, drawn from all that `kind` can corrupt; answers its frame.
fn corrupt(frames: &mut [Frame], kind: Kind, random: &mut Random) -> u64 {
    let mut places = Vec::new();
    for (frame, entries) in frames.iter().map(|frame| &frame.entries).enumerate() {
        for (entry, concluded) in entries.iter().map(|entry| &entry.concluded).enumerate() {
            for (place, record) in concluded.iter().enumerate() {
                if matches!(kind, Kind::Dropped | Kind::Doubled) || alter(&mut record.clone(), kind) {
                    places.push((frame, entry, place));
                }
            }
        }
    }
    let (frame, entry, place) = places[random.below(places.len())];
    let sequence = frames[frame].sequence;
    let concluded = &mut frames[frame].entries[entry].concluded;
    if kind == Kind::Dropped {
        concluded.remove(place);
    } else if kind == Kind::Doubled {
        concluded.insert(place, concluded[place].clone());
    } else {
        assert!(alter(&mut concluded[place], kind));
    }
    sequence
}

#[test]
fn replay_names_the_frame_of_every_changed_conclusion() {
    let stories = ["anchors-ours-late", "static-theirs-late"].map(|name| frames(&kept(name).journal));
    let folder = Folder::new("corrupt");
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..20_u64 {
        let mut random = Random::new(seed);
        let kind = KINDS[seed as usize % KINDS.len()];
        let mut story = stories[random.below(stories.len())].clone();
        let sequence = corrupt(&mut story, kind, &mut random);
        let file = folder.join(&format!("{seed}.arb"));
        fs::write(&file, arb_file::encode(&story).unwrap()).unwrap();
        let file = file.to_str().unwrap();
        let (code, replayed) = json(&["replay", "--check", file]);
        let first = &replayed["first_difference"];
        assert_eq!(code, 1, "seed {seed}, {kind:?} in frame {sequence}");
        assert_eq!(first["seq"], sequence, "seed {seed}, {kind:?}");
        assert_ne!(first["recorded"], first["decided"], "seed {seed}, {kind:?}");
        assert_eq!((&replayed["frames"], &replayed["decided"]), (&sequence.into(), &(sequence - 1).into()));
        seen.insert(sequence);
        let text = arb(&["replay", "--check", file]);
        assert_eq!(text.code, 1);
        let begin = format!("frame {sequence}, ");
        assert!(text.stdout.starts_with(&begin) && text.stdout.contains("recorded: "), "{}", text.stdout);
    }
    assert!(seen.len() >= 8, "the corruptions are in too few frames: {seen:?}");
}
