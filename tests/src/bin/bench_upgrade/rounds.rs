//! Hand-overs and rollbacks, again and again: processing times, lateness, memory, and whether everything is saved once.

use crate::Options;
use crate::saved;
use crate::source::{Source, WORDS_IN_LINE};
use millstream_tests::events::{Batch, Events};
use millstream_tests::live::{LiveHost, now_ms, pause};
use millstream_tests::numbers::{largest, mean, median, quantile};
use millstream_tests::programs;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The rate at which the search for the right rate begins.
const FIRST_LINES_PER_SECOND: u64 = 5_000;
/// How often the rate is changed at most.
const RATES: u32 = 14;
/// A rate is right if the processing time is this close to the wanted time.
const CLOSE: f64 = 0.05;
/// The number of batches on each side of a change that are looked at.
const AROUND: u64 = 5;

/// From one point in time to another, in milliseconds.
type Span = (u64, u64);

/// One upgrade that was rolled back.
struct Round {
    /// The old plugin runs alone.
    alone: Span,
    /// The new plugin is compiled and checked, then fills its windows, then is compared.
    beside: [Span; 3],
    /// From the begin of the upgrade to the end of the rollback.
    pair: Span,
    /// The last batches before the hand-over and before the way back.
    changes: [u64; 2],
    /// The status at the end of the comparison.
    status: Value,
}

/// All that a run has shown.
struct Shown<'a> {
    options: &'a Options,
    events: &'a Events,
    rounds: Vec<Round>,
    /// The old plugin runs alone, after the last round.
    last_alone: Span,
    /// The last batch before the new plugin took the job over for good.
    last_change: u64,
    memory: Vec<(u64, u64)>,
    sent_lines: u64,
}

/// Measures the rounds and prints the figures.
pub fn measure(directory: &Path, options: &Options) -> Result<(), String> {
    let plugin = |name: &str| {
        programs::plugin_path(name).canonicalize().map_err(|error| format!("cannot find plugin {name}: {error}"))
    };
    let (old, new) = (plugin("upgrade")?, plugin("upgrade_v2")?);
    let source = Source::start(FIRST_LINES_PER_SECOND)?;
    let job = format!(
        "[job]\nname = \"bench\"\nplugin = {old:?}\nbatch_interval = \"{interval}ms\"\ncheckpoint = \"checkpoint\"\n\
         directories = {{ out = \"out\" }}\n\n[sources.lines]\ntype = \"socket\"\naddress = \"{}\"\n\n\
         [receiver]\nblock_interval = \"{}ms\"\n",
        source.address(),
        // So there are several tasks for each thread.
        (options.interval_ms / 4).max(1),
        interval = options.interval_ms,
    );
    let mut host = LiveHost::start(directory, &job)?;
    calibrate(&mut host, &source, options)?;
    let mut rounds = Vec::new();
    for _ in 0..options.rounds {
        rounds.push(round(&mut host, options, &new)?);
    }
    let last_alone = alone(options);
    let last_change = take_over(&mut host, &new)?;
    source.set_rate(0);
    // What is on its way arrives within a batch or two.
    host.wait_for_batches(5)?;
    host.stop()?;
    let (memory, sent_lines) = (host.memory(), source.sent_lines());
    let out = host.directory().join("out");
    let shown = Shown { options, events: &host.events, rounds, last_alone, last_change, memory, sent_lines };
    shown.print_processing();
    shown.print_lateness();
    shown.print_memory();
    shown.check(&out)
}

/// Sets the rate so that the old plugin takes the wanted part of the interval.
fn calibrate(host: &mut LiveHost, source: &Source, options: &Options) -> Result<(), String> {
    let wanted_ms = (options.interval_ms * options.load_percent) as f64 / 100.0;
    let mut rate = FIRST_LINES_PER_SECOND;
    let mut found_ms = 0.0;
    host.wait_for_batches(5)?;
    for _ in 0..RATES {
        host.wait_for_batches(2)?;
        let seen = host.events.batches.len();
        host.wait_for_batches(8)?;
        let times: Vec<f64> = host.events.batches[seen..].iter().map(|batch| batch.processing_ms).collect();
        found_ms = median(&times);
        if (found_ms / wanted_ms - 1.0).abs() <= CLOSE {
            break;
        }
        rate = ((rate as f64 * (wanted_ms / found_ms.max(0.1)).clamp(0.25, 2.0)) as u64).max(1);
        source.set_rate(rate);
    }
    // The windows of the old plugin fill with batches of this rate.
    pause(Duration::from_secs(4));
    println!(
        "{rate} lines of {WORDS_IN_LINE} words a second, batches every {} ms, {} CPUs: a batch of the old plugin takes \
         {found_ms:.1} ms of {wanted_ms:.0} wanted",
        options.interval_ms,
        std::thread::available_parallelism().map_or(1, usize::from)
    );
    Ok(())
}

/// Lets the old plugin run alone.
fn alone(options: &Options) -> Span {
    let from_ms = now_ms();
    pause(Duration::from_secs(options.seconds));
    (from_ms, now_ms())
}

fn round(host: &mut LiveHost, options: &Options, new: &Path) -> Result<Round, String> {
    let alone = alone(options);
    host.events.read()?;
    let seen = host.events.steps.len();
    let new = new.to_string_lossy();
    host.ask(&["upgrade", "job.toml", "--plugin", &new, "--no-wait", "--batches", "3", "--keep", "1000"])?;
    let warms_up = host.wait_for_step(seen, &["warming up", "comparing"])?;
    let compares = host.wait_for_step(seen, &["comparing", "ready"])?;
    pause(Duration::from_secs(options.seconds));
    let ends = now_ms();
    let status = host.ask(&["upgrade", "status", "job.toml"])?;
    let commit = ["upgrade", "commit", "job.toml"];
    // A new run that does not keep pace is not ready. How late it makes batches is measured all the same.
    let committed = host.ask(&commit).or_else(|_| host.ask(&[&commit[..], &["--force"]].concat()))?;
    let over = time_in(&committed, "handed_over_after_ms")?;
    host.wait_for_batches(AROUND as usize + 1)?;
    let back = time_in(&host.ask(&["rollback", "job.toml"])?, "handed_back_after_ms")?;
    host.wait_for_batches(AROUND as usize + 1)?;
    let beside = [(alone.1, warms_up), (warms_up, compares), (compares, ends)];
    Ok(Round { alone, beside, pair: (alone.1, now_ms()), changes: [over, back], status })
}

/// Lets the new plugin take the job over for good. Returns the last batch of the old plugin.
fn take_over(host: &mut LiveHost, new: &Path) -> Result<u64, String> {
    host.events.read()?;
    let seen = host.events.steps.len();
    let new = new.to_string_lossy();
    let args = ["upgrade", "job.toml", "--plugin", &new, "--no-wait", "--auto", "--batches", "1", "--keep", "3"];
    host.ask(&args)?;
    host.wait_for_step(seen, &["done"])?;
    host.wait_for_batches(AROUND as usize + 1)?;
    let after = host.events.steps.iter().skip(seen).find_map(|step| step.after_ms);
    after.ok_or_else(|| "no event tells the batch of the hand-over".to_owned())
}

fn time_in(status: &Value, member: &str) -> Result<u64, String> {
    status[member].as_u64().ok_or_else(|| format!("the upgrade has no {member}: {status}"))
}

impl Shown<'_> {
    fn processing(&self, (from_ms, to_ms): Span) -> Vec<f64> {
        self.events.between(from_ms, to_ms).iter().map(|batch| batch.processing_ms).collect()
    }

    /// The spans in which the old plugin runs alone: before each round, and after the last one.
    fn alones(&self) -> Vec<Span> {
        self.rounds.iter().map(|round| round.alone).chain([self.last_alone]).collect()
    }

    fn print_processing(&self) {
        let names = ["preparing", "warming up", "comparing"];
        let (mut ratios, mut pooled) = ([const { Vec::new() }; 4], [const { Vec::new() }; 5]);
        let alones: Vec<Vec<f64>> = self.alones().into_iter().map(|span| self.processing(span)).collect();
        for (number, round) in self.rounds.iter().enumerate() {
            let (before, after) = (&alones[number], &alones[number + 1]);
            // Machines become slower and faster with time.
            let neighbours = [&before[..], &after[..]].concat();
            print!("round {}: alone mean {:.1} ms, p99 {:.1};", number + 1, mean(before), quantile(before, 0.99));
            for (phase, span) in round.beside.into_iter().enumerate() {
                let times = self.processing(span);
                if times.is_empty() {
                    print!(" {} too short;", names[phase]);
                    continue;
                }
                ratios[phase].push(mean(&times) / mean(&neighbours));
                print!(
                    " {} mean {:.1} ({:.2}), p99 {:.1};",
                    names[phase],
                    mean(&times),
                    mean(&times) / mean(&neighbours),
                    quantile(&times, 0.99)
                );
                pooled[phase].extend(times);
            }
            ratios[3].push(mean(after) / mean(before));
            let (status, waiting) = (&round.status, &round.status["new"]["waiting"]);
            println!(
                " after {:.1} ({:.2}); then {}, {waiting} batches waited, new/old {:.2}, {} compared",
                mean(after),
                mean(after) / mean(before),
                status["phase"].as_str().unwrap_or("?"),
                status["slowdown"].as_f64().unwrap_or_default(),
                status["compared"],
            );
            pooled[3].extend(after);
            pooled[4].extend(before);
        }
        println!("processing time of the old plugin, as a ratio to alone (bar: at most 1.10):");
        for (phase, name) in names.into_iter().chain(["after"]).enumerate() {
            println!(
                "  {name:10} mean {:.3} (median of {} rounds), p99 {:.3}",
                median(&ratios[phase]),
                ratios[phase].len(),
                quantile(&pooled[phase], 0.99) / quantile(&pooled[4], 0.99)
            );
        }
    }

    fn print_lateness(&self) {
        let interval_ms = self.options.interval_ms;
        let of_alone: Vec<&Batch> =
            self.alones().into_iter().flat_map(|(from, to)| self.events.between(from, to)).collect();
        let lateness = |batches: &[&Batch]| batches.iter().map(|batch| batch.lateness_ms()).collect::<Vec<_>>();
        let totals = |batches: &[&Batch]| batches.iter().map(|batch| batch.total_ms).collect::<Vec<_>>();
        let usual_ms = median(&lateness(&of_alone));
        let print = |what: &str, batches: &[&Batch]| -> f64 {
            let (total, end) = (largest(&totals(batches)), largest(&lateness(batches)));
            let late = (end - usual_ms) / interval_ms as f64;
            println!(
                "{what}: largest total delay {total:.0} ms ({:.2} of the interval), end {end:.0} ms after the batch time, \
                 {late:.2} intervals later than usual",
                total / interval_ms as f64
            );
            late
        };
        print(&format!("{} batches alone", of_alone.len()), &of_alone);
        let mut latest = Vec::new();
        for (number, after) in self.changes().into_iter().enumerate() {
            let around = (after.saturating_sub(AROUND * interval_ms))..=(after + AROUND * interval_ms);
            let near: Vec<&Batch> =
                self.events.batches.iter().filter(|batch| around.contains(&batch.time_ms)).collect();
            let what = if number % 2 == 0 { "hand-over" } else { "rollback" };
            let what = format!("{what} {} after batch {after} ms, {} batches around it", number / 2 + 1, near.len());
            latest.push(print(&what, &near));
        }
        println!(
            "lateness at {} changes, in intervals later than usual (bar: at most 1): largest {:.2}, median {:.2}",
            latest.len(),
            largest(&latest),
            median(&latest)
        );
    }

    fn print_memory(&self) {
        let largest_kib = |spans: &[Span]| {
            let is_in = |at: u64| spans.iter().any(|(from, to)| (*from..*to).contains(&at));
            self.memory.iter().filter(|(at, _)| is_in(*at)).map(|(_, kib)| *kib).max().unwrap_or_default()
        };
        let alone = largest_kib(&[self.rounds[0].alone]);
        let pair = largest_kib(&self.rounds.iter().map(|round| round.pair).collect::<Vec<_>>());
        let after = largest_kib(&[self.last_alone]);
        let ratio = |kib: u64| kib as f64 / alone.max(1) as f64;
        println!(
            "largest resident memory: alone {} MiB, pair {} MiB ({:.2}), after the last rollback {} MiB ({:.2})",
            alone / 1024,
            pair / 1024,
            ratio(pair),
            after / 1024,
            ratio(after)
        );
        let stored = |run: &str| {
            let bytes = self.rounds.iter().filter_map(|round| round.status[run]["memory_bytes"].as_u64());
            bytes.max().unwrap_or_default() as f64 / (1024.0 * 1024.0)
        };
        println!("largest memory of stored rows: old {:.2} MiB, new {:.2} MiB", stored("old"), stored("new"));
    }

    /// The last batches before results change hands, first to the new plugin.
    fn changes(&self) -> Vec<u64> {
        self.rounds.iter().flat_map(|round| round.changes).chain([self.last_change]).collect()
    }

    /// Checks that each batch and each record is there once, and of the right plugin.
    fn check(&self, out: &Path) -> Result<(), String> {
        if self.events.dropped > 0 {
            return Err(format!("{} events were dropped, so batches cannot be counted", self.events.dropped));
        }
        let changes = self.changes();
        let words = saved::check(&PathBuf::from(out), &self.events.batches, self.options.interval_ms, &changes)?;
        let sent = self.sent_lines * WORDS_IN_LINE;
        if words != sent {
            return Err(format!("{sent} words were sent, and {words} were counted"));
        }
        println!(
            "{} batches, each done and saved once, by the right plugin through {} changes; all {words} words counted",
            self.events.batches.len(),
            changes.len()
        );
        Ok(())
    }
}
