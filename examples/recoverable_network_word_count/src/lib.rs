//! Counts words that arrive on a TCP socket, leaves out the words of a blacklist, and appends the counts of each batch
//! to a file. Spark's `RecoverableNetworkWordCount`.

use millstream::*;

/// The words that are left out. The first batch of a run makes the list, and all later batches get the same list.
fn word_blacklist(context: &DriverContext) -> Broadcast<Vec<Text>> {
    context.broadcast("WordBlacklist", || vec!["a".into(), "b".into(), "c".into()])
}

/// How many words were left out. The count begins with 0 in each run.
fn dropped_words_counter(context: &DriverContext) -> LongAccumulator {
    context.long_accumulator("WordsInBlacklistCounter")
}

/// The time, in milliseconds, of the batch to which a line of the file belongs.
fn time_of(line: &str) -> Option<u64> {
    line.strip_prefix("Counts at time ")?.split(' ').next()?.parse().ok()
}

/// Appends the line of a batch to a file. A batch that runs again after a crash replaces its line.
fn append(path: &str, batch: Time, line: &str) {
    let written = files::read(path).unwrap_or_default();
    let written = String::from_utf8_lossy(&written);
    let earlier = written.lines().filter(|line| time_of(line).is_some_and(|time| time < batch.as_ms()));
    let lines: String = earlier.chain([line]).flat_map(|line| [line, "\n"]).collect();
    files::write(path, lines);
}

fn build(ctx: &StreamingContext) {
    let path = ctx.arg_or("file", "counts.txt".to_owned());
    let words = ctx.text_stream("lines").flat_map(|line| line.split(' '));
    let counts = words.map(|word| (word, 1i64)).reduce_by_key(|a, b| a + b);
    let _ = counts
        .foreach_rdd_with_time(move |rdd, time| {
            let blacklist = word_blacklist(&rdd.context());
            let dropped = dropped_words_counter(&rdd.context());
            let counter = dropped.clone();
            let kept = rdd.filter(move |(word, count)| {
                let is_listed = blacklist.value().contains(word);
                if is_listed {
                    counter.add(*count);
                }
                !is_listed
            });
            let kept: Vec<String> = kept.collect().iter().map(|(word, count)| format!("({word},{count})")).collect();
            let line = format!("Counts at time {time} [{}]", kept.join(", "));
            log(Level::Info, &line);
            log(Level::Info, &format!("Dropped {} word(s) totally", dropped.value()));
            append(&path, time, &line);
        })
        .name("counts");
}
millstream::plugin!(build);

#[cfg(test)]
mod tests {
    use millstream::testing;

    #[test]
    fn counts_are_appended_without_the_words_of_the_blacklist() {
        let job = testing::Job::new(super::build).batch("lines", ["a bee or", "not a bee"]).batch("lines", ["c"]);
        let (_, files) = job.run_with_files();
        let expected = "Counts at time 1000 ms [(bee,2), (or,1), (not,1)]\nCounts at time 2000 ms []\n";
        assert_eq!(String::from_utf8_lossy(&files["counts.txt"]), expected);
    }
}
