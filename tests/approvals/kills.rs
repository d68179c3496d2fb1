//! The program killed (SIGKILL) while it approves, at random moments: what is approved is executed once, and what is executed is
//! approved.

use std::io::Write;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use aquabills::clock::Clock;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::{Town, on_both, stdout};
use crate::*;

const REQUESTS: i64 = 12;

fn word(town: &Town, id: i64) -> String {
    let view = stdout(&town.program(&["approvals", "show", &id.to_string()]));
    view.lines().find_map(|line| line.strip_prefix("word: ")).unwrap_or_else(|| panic!("no word: {view}")).to_owned()
}

on_both! {
    fn an_approval_that_is_killed_happens_once(town: Town) {
        let mut town = crate::town(town);
        // The program goes by the machine's clock.
        town.context.clock = Clock::System;
        let mut rng = StdRng::seed_from_u64(7);
        let secret = factor(&town, SAM);
        for id in 1..=REQUESTS {
            assert_eq!(waits(credit(&town, ANA, "A1", "-150.00", &format!("R-{id}"))), ApprovalId(id));
        }
        let mut killed = 0;
        // A code is good once and a half minute long: the test does not wait for the next.
        let anew = |town: &Town| {
            for sql in ["UPDATE login SET totp_last_step = 0", "DELETE FROM login_throttle"] {
                crate::attacks::statement(town, sql);
            }
            proof(town, &secret)
        };
        for id in 1..=REQUESTS {
            let mut attempts = 0;
            loop {
                attempts += 1;
                let (number, word) = (id.to_string(), word(&town, id));
                let args = ["approvals", "approve", &number, "--seen", &word, "--by", SAM];
                if attempts <= 5 {
                    let mut child = town.command(&args).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program starts");
                    let _ = child.stdin.take().expect("a pipe").write_all(anew(&town).as_bytes());
                    thread::sleep(Duration::from_micros(rng.random_range(500..250_000)));
                    let _ = child.kill();
                    killed += i64::from(child.wait().expect("it ends").code().is_none());
                    continue;
                }
                let output = typed(&town, &args, &anew(&town));
                assert_eq!(output.0, Some(0), "{}", output.2);
                break;
            }
            assert_eq!(count(&town, &format!("adjustment WHERE reference = 'R-{id}'")), 1);
        }
        assert!(killed > 0, "no process was killed while it lived");
        assert_eq!(town.balance("A1"), "-1800.00");
        assert_eq!(count(&town, "approval_decision"), REQUESTS);
        assert_eq!(count(&town, "todo WHERE kind = 'approval' AND status = 'open'"), 0);
        town.assert_sound();
    }
}
