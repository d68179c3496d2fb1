//! The list of routes: pages add theirs here, and whoever checks access can ask for all of them.

use actix_web::dev::Handler;
use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{FromRequest, Responder, Route, guard};

/// Routes in the order in which they are tried.
#[derive(Default)]
pub struct Routes {
    list: Vec<(Method, &'static str, Route)>,
}

impl Routes {
    /// A page.
    pub fn get<F, A>(&mut self, path: &'static str, handler: F)
    where
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        // Whoever asks for the head gets that of the page (RFC 9110, section 9.3.2); the body is not sent.
        let route = web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
        self.list.push((Method::GET, path, route.to(handler)));
    }

    /// Where a form goes.
    pub fn post<F, A>(&mut self, path: &'static str, handler: F)
    where
        F: Handler<A>,
        A: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        self.list.push((Method::POST, path, web::post().to(handler)));
    }

    /// Method and path of each.
    #[must_use]
    pub fn names(&self) -> Vec<(String, &'static str)> {
        self.list.iter().map(|(method, path, _)| (method.to_string(), *path)).collect()
    }

    pub(super) fn register(self, config: &mut ServiceConfig) {
        for (_, path, route) in self.list {
            config.route(path, route);
        }
    }
}
