//! The exact words about rules between keys.

use super::Text::{Below, Whole};
use super::{Case, check};

#[test]
fn rules_between_keys_name_all_numbers() {
    check(RULES);
}

const RULES: &[Case] = &[
    Case {
        text: Below("[receiver]\nblock_interval = \"2s\""),
        set: &[],
        errors: &[
            r#"job.toml line 5: receiver.block_interval = "2s" is longer than a batch: job.batch_interval is 1s"#,
            r#"help: use "1s" or less, or leave it out for the default of 200ms"#,
        ],
    },
    Case {
        text: Below("batch_interval = \"100ms\"\n[receiver]\nblock_interval = \"200ms\""),
        set: &[],
        errors: &[
            r#"job.toml line 6: receiver.block_interval = "200ms" is longer than a batch: job.batch_interval is 100ms"#,
            r#"help: use "100ms" or less, or leave it out for the default of 100ms"#,
        ],
    },
    Case {
        text: Below("[receiver]\nmax_rate = 50\n[backpressure]\nenabled = true\nmin_rate = 60"),
        set: &[("backpressure.initial_rate", "51")],
        errors: &[
            "--set backpressure.initial_rate: backpressure.initial_rate = 51 is above receiver.max_rate = 50, which holds in \
             any case",
            "help: use 50 or less, or raise receiver.max_rate",
        ],
    },
    Case {
        text: Below("[receiver]\nmax_rate = 50\n[backpressure]\nmin_rate = 60"),
        set: &[],
        errors: &[
            "job.toml line 7: backpressure.min_rate = 60 is above receiver.max_rate = 50, which holds in any case",
            "help: use 50 or less, or raise receiver.max_rate",
        ],
    },
    Case {
        text: Below("[engine]\nthreads = 8\nmemory = \"1GiB\""),
        set: &[],
        errors: &[
            "job.toml line 6: engine.memory = \"1GiB\" is less than plugin instances may take: limits.memory \
             256MiB x (engine.threads 8 + 1 for the driver) = 2304MiB",
            r#"help: use "2304MiB" or more, or lower limits.memory or engine.threads"#,
        ],
    },
    Case {
        text: Below("[engine]\nmemory = \"1300MB\"\n[limits]\nmemory = \"1GB\""),
        set: &[],
        errors: &[
            "job.toml line 5: engine.memory = \"1300MB\" is less than plugin instances may take: limits.memory 1GB \
             x (engine.threads 4 + 1 for the driver) = 5GB",
            r#"help: use "5GB" or more, or lower limits.memory or engine.threads"#,
        ],
    },
    Case {
        text: Whole(
            "[job]\nbatch_interval = \"100ms\"\n[receiver]\nblock_interval = \"200ms\"\n[engine]\nmemory = \
               \"1MiB\"\ntask_attempts = 101\n[limits]\ntask_time = \"0s\"\n",
        ),
        set: &[],
        errors: &[
            "job.toml line 1: `job.name` is missing",
            r#"help: add `name = "word-count"` under [job]"#,
            "error: job.toml line 1: `job.plugin` is missing",
            r#"help: add `plugin = "word_count.wasm"` under [job]"#,
            "error: job.toml line 4: receiver.block_interval = \"200ms\" is longer than a batch: \
             job.batch_interval is 100ms",
            r#"help: use "100ms" or less, or leave it out for the default of 100ms"#,
            "error: job.toml line 6: engine.memory = \"1MiB\" is less than plugin instances may take: \
             limits.memory 256MiB x (engine.threads 4 + 1 for the driver) = 1280MiB",
            r#"help: use "1280MiB" or more, or lower limits.memory or engine.threads"#,
            "error: job.toml line 7: engine.task_attempts = 101 is above the maximum of 100",
            "help: use a whole number from 1 to 100; the default is 4",
            r#"error: job.toml line 9: limits.task_time = "0s" is below the minimum of 1ms"#,
            r#"help: use "1ms" to "1h"; the default is "10s""#,
        ],
    },
];
