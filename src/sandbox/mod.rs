//! A payment provider of our own for demonstrations and tests: it speaks the interface of hosted checkouts with signed
//! callbacks, and makes on demand every fault that real ones make.
//!
//! It is a program apart: it shares the interface with ours, and nothing else. What it says and how it signs is written from
//! Stripe's public reference, not from the client's code, so that each finds the other's mistakes.
//!
//! - [`model`], [`state`], [`journal`]: what there is, in memory and in a file of JSON lines.
//! - [`acts`]: what can happen to a payment; [`render`]: what it looks like to a caller.
//! - [`api`]: Stripe's interface; [`control`]: ours, for faults; [`pages`]: the checkout and a page for people.
//! - [`deliver`], [`sign`]: callbacks; [`faults`]: what goes wrong; [`bank`]: the statements of the utility's bank.
//!
//! Everything is bounded: 50,000 sessions, payments and ways to pay (more are refused), 100,000 events (the oldest go),
//! 50,000 idempotency keys of a day, 500,000 waiting deliveries, 20,000 remembered attempts.

mod acts;
mod api;
mod bank;
mod control;
mod deliver;
mod faults;
mod journal;
mod model;
mod pages;
mod render;
mod server;
mod sign;
mod state;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::Clock;

pub use faults::{Faults, Outage, SignatureFault};
pub use model::With;

use deliver::Post;
use state::{State, Timer};

/// How often it is looked for what happens by itself.
const TICK: Duration = Duration::from_millis(25);

/// How a sandbox is.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens; port 0 takes any free port.
    pub listen: String,
    /// Where a browser reaches it; none is where it listens.
    pub public_url: Option<String>,
    /// The secret key of its interface.
    pub key: String,
    /// The secret that callbacks are signed with.
    pub webhook_secret: String,
    /// Where callbacks go.
    pub endpoints: Vec<String>,
    /// What names, delays and orders are drawn from; none is another one each time.
    pub seed: Option<u64>,
    /// The file that keeps everything over a restart; none is memory only.
    pub state: Option<PathBuf>,
    /// What goes wrong from the beginning.
    pub faults: Faults,
    /// The time that events and signatures bear.
    pub clock: Clock,
    /// The bound of the first pause after a callback that was not accepted.
    pub first_pause: Duration,
    /// How many callbacks are on their way at once. One makes their order the seed's alone.
    pub workers: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8090".to_owned(),
            public_url: None,
            key: "sk_test_sandbox".to_owned(),
            webhook_secret: "whsec_sandbox".to_owned(),
            endpoints: Vec::new(),
            seed: None,
            state: None,
            faults: Faults::default(),
            clock: Clock::System,
            first_pause: Duration::from_secs(1),
            workers: 16,
        }
    }
}

/// What handlers, callbacks and the clock share.
pub(super) struct Core {
    state: Mutex<State>,
    post: Post,
    key: String,
    address: String,
    stopped: AtomicBool,
}

impl Core {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a verb change the memory, writes down what it changed, and gives its events to the post. A verb that refuses may
    /// have changed something, too: a declined card is an event.
    ///
    /// # Errors
    /// When it cannot be written down: then nothing is answered any more.
    fn act<T>(&self, verb: impl FnOnce(&mut State) -> T) -> Result<T, String> {
        let mut state = self.lock();
        let outcome = verb(&mut state);
        let events = state.commit()?;
        // Under the lock, so that two calls' events keep their order.
        for event in self.post.take(events) {
            state.delivered(&event);
        }
        Ok(outcome)
    }

    fn look<T>(&self, question: impl FnOnce(&State) -> T) -> T {
        question(&self.lock())
    }

    /// What happens by itself.
    fn tick(&self) {
        let due = {
            let mut state = self.lock();
            (state.due_timers(), state.overdue_sessions())
        };
        if due.0.is_empty() && due.1.is_empty() {
            return;
        }
        let outcome = self.act(|state| {
            for timer in due.0 {
                run_timer(state, timer);
            }
            for session in due.1 {
                // Paid in the same moment: then it does not expire.
                let _ = acts::expire_session(state, &session);
            }
        });
        if let Err(error) = outcome {
            log::error!("the sandbox cannot go on: {error}");
        }
    }
}

/// What was done on demand meanwhile is not done again.
fn run_timer(state: &mut State, timer: Timer) {
    let fails = state.faults.bank_fails;
    let outcome = match timer {
        Timer::Settle(id) if id.starts_with("pyr_") => acts::back::settle_refund(state, &id).map(drop),
        Timer::Settle(id) if state.payments.get(&id).is_none_or(|payment| payment.status != model::PaymentStatus::Processing) => Ok(()),
        Timer::Settle(id) if fails => acts::fail(state, &id).map(drop),
        Timer::Settle(id) => acts::settle(state, &id).map(drop),
        Timer::FailRefund(id) => acts::back::fail_refund(state, &id).map(drop),
    };
    if let Err(refusal) = outcome {
        log::debug!("nothing left to do by itself: {}", refusal.message);
    }
}

/// A sandbox, bound to its address and ready to run.
pub struct Sandbox {
    core: Arc<Core>,
    listener: TcpListener,
    workers: usize,
}

impl Sandbox {
    /// Reads its state and binds its address.
    ///
    /// # Errors
    /// When the address cannot be bound, the state cannot be read, or an option makes no sense.
    pub fn build(options: Options) -> std::io::Result<Self> {
        let invalid = |words: String| std::io::Error::new(std::io::ErrorKind::InvalidInput, words);
        if let Some(fault) = options.faults.fault() {
            return Err(invalid(fault));
        }
        if let Some(url) = options.endpoints.iter().find(|url| !is_endpoint(url)) {
            return Err(invalid(format!("'{url}' is not an endpoint: expected http://HOST/PATH or https://HOST/PATH")));
        }
        if options.key.is_empty() || options.webhook_secret.is_empty() {
            return Err(invalid("the key and the secret of callbacks: expected at least one letter".to_owned()));
        }
        let listener = TcpListener::bind(&options.listen)?;
        let bound: SocketAddr = listener.local_addr()?;
        let address = options.public_url.unwrap_or_else(|| format!("http://{bound}")).trim_end_matches('/').to_owned();
        let state = State::open(options.clock.clone(), options.seed, options.faults.clone(), options.state.as_deref());
        let file = options.state.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
        let state = state.map_err(|error| std::io::Error::new(error.kind(), format!("{file}: {error}")))?;
        let post = Post::new(&options.endpoints, &options.webhook_secret, options.clock, state.seed(), options.first_pause, options.faults);
        let core = Core { state: Mutex::new(state), post, key: options.key, address, stopped: AtomicBool::new(false) };
        Ok(Self { core: Arc::new(core), listener, workers: options.workers.clamp(1, 256) })
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> String {
        self.core.address.clone()
    }

    /// Serves and delivers until `told` is ready. Callbacks that were not accepted yet go on at the next start, when there is
    /// a state file.
    ///
    /// # Errors
    /// When the server cannot start or fails.
    pub async fn run_until(self, told: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        let mut threads: Vec<JoinHandle<()>> = (0..self.workers).map(|_| spawn(&self.core, bring_all)).collect();
        threads.push(spawn(&self.core, |core| {
            while !core.stopped.load(Ordering::Acquire) {
                core.tick();
                thread::sleep(TICK);
            }
        }));
        // What the last run did not bring.
        if let Err(error) = self.core.act(|_| ()) {
            log::error!("{error}");
        }
        let server = server::serve(Arc::clone(&self.core), self.listener, Box::pin(told));
        let served = match server {
            Ok(server) => server.await,
            Err(error) => Err(error),
        };
        self.core.stopped.store(true, Ordering::Release);
        self.core.post.stop();
        for thread in threads {
            if thread.join().is_err() {
                log::warn!("a thread of the sandbox ended badly");
            }
        }
        served
    }

    /// Runs in a thread of its own until the handle is dropped.
    ///
    /// # Errors
    /// As [`Sandbox::build`].
    pub fn start(options: Options) -> std::io::Result<Running> {
        let sandbox = Self::build(options)?;
        let (address, told) = (sandbox.address(), Arc::new(AtomicBool::new(false)));
        let heard = Arc::clone(&told);
        let thread = thread::spawn(move || {
            let until = async move {
                while !heard.load(Ordering::Acquire) {
                    actix_web::rt::time::sleep(TICK).await;
                }
            };
            if let Err(error) = actix_web::rt::System::new().block_on(sandbox.run_until(until)) {
                log::error!("the sandbox failed: {error}");
            }
        });
        Ok(Running { address, told, thread: Some(thread) })
    }
}

/// A sandbox that runs in a thread of this program; dropped, it ends.
pub struct Running {
    address: String,
    told: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.told.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::warn!("the sandbox ended badly");
        }
    }
}

fn spawn(core: &Arc<Core>, work: fn(&Core)) -> JoinHandle<()> {
    let core = Arc::clone(core);
    thread::spawn(move || work(&core))
}

fn bring_all(core: &Core) {
    while let Some(delivery) = core.post.next() {
        if let Some(event) = core.post.bring(delivery)
            && let Err(error) = core.act(|state| state.delivered(&event))
        {
            log::error!("{error}");
        }
    }
}

/// Whether callbacks can go there.
fn is_endpoint(url: &str) -> bool {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && rest.len() <= 2000 && rest.chars().all(|c| c.is_ascii_graphic()))
}
