//! The web application: routes, pages, errors.
//!
//! What belongs here: HTTP. What does not: SQL and rules; a handler loads, authorises, acts, answers.

pub mod error;
pub mod form;
pub mod frame;
mod guard;
mod pages;
mod routes;
pub mod text;
pub mod upload;
pub mod viewer;

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;

use actix_web::dev::Server;
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, HttpServer, web};

use crate::actions::Context;

/// Styles, built into the program.
const STYLE: &str = include_str!("../../static/style.css");

/// The picture beside the page's title in a browser.
const ICON: &str = include_str!("../../static/icon.svg");

/// How long requests at work may take when the program ends.
const LAST_ANSWERS_SECONDS: u64 = 5;

/// The application, bound to its address and ready to run.
pub struct Application {
    context: Context,
    door: web::Data<pages::payments::Door>,
    listener: TcpListener,
    address: SocketAddr,
}

impl Application {
    /// Binds the application to an address; port 0 takes any free port.
    ///
    /// # Errors
    /// When the address cannot be bound, or the inbox for payment providers cannot be opened.
    pub fn build(context: Context, listen: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        if !context.config.sign_in.secure_cookies && !address.ip().is_loopback() {
            log::warn!("sign_in.secure_cookies is off and {address} is reached from elsewhere: cookies travel in the clear");
        }
        let door = web::Data::new(pages::payments::Door::open(&context)?);
        Ok(Self { context, door, listener, address })
    }

    /// Where it is reached.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// When the server cannot start or fails.
    pub fn run(self) -> std::io::Result<()> {
        actix_web::rt::System::new().block_on(async move { self.server(None)?.await })
    }

    /// Serves until `told` is ready; requests at work are answered first. Signals are the caller's to listen for.
    ///
    /// # Errors
    /// As [`Application::run`].
    pub async fn run_until(self, told: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
        self.server(Some(Box::pin(told)))?.await
    }

    fn server(self, told: Option<Pin<Box<dyn Future<Output = ()> + Send>>>) -> std::io::Result<Server> {
        let (context, door) = (web::Data::new(self.context), self.door);
        let metrics = web::Data::new(pages::operations::metrics::Cache::default());
        let workers = context.config.runs.worker_count().max(2);
        let server = HttpServer::new(move || {
            let pages = web::scope("")
                .wrap(from_fn(guard::guard))
                .wrap(Compress::default())
                .app_data(metrics.clone())
                .configure(pages::configure)
                .default_service(web::to(pages::operations::not_found));
            let machines = App::new().wrap(from_fn(guard::scoped)).app_data(context.clone()).app_data(door.clone());
            machines.configure(pages::configure_machines).service(pages)
        });
        let server = server.workers(workers).shutdown_timeout(LAST_ANSWERS_SECONDS).listen(self.listener)?;
        Ok(match told {
            Some(told) => server.shutdown_signal(told).run(),
            None => server.run(),
        })
    }
}

/// Method and path of every route, in the order in which they are tried: for whoever checks who reaches what.
#[must_use]
pub fn routes() -> Vec<(String, &'static str)> {
    [pages::machine_routes(), pages::all_routes()].iter().flat_map(routes::Routes::names).collect()
}
