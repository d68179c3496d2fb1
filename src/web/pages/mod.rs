//! Pages by area. Each area adds its routes with a function `routes(&mut Routes)`.

mod billing;
mod customers;
pub(super) mod operations;
pub(super) mod payments;
mod sign_in;
mod staff;

use actix_web::web::ServiceConfig;

use super::routes::Routes;

/// The routes for machines, which have nothing around them.
pub(super) fn machine_routes() -> Routes {
    let mut routes = Routes::default();
    payments::machine_routes(&mut routes);
    routes
}

/// Every route of the pages.
pub(super) fn all_routes() -> Routes {
    let mut routes = Routes::default();
    billing::routes(&mut routes);
    customers::routes(&mut routes);
    operations::routes(&mut routes);
    payments::routes(&mut routes);
    sign_in::routes(&mut routes);
    staff::routes(&mut routes);
    routes
}

/// Puts the routes for machines into the application.
pub(super) fn configure_machines(config: &mut ServiceConfig) {
    machine_routes().register(config);
}

/// Puts every page into the application.
pub(super) fn configure(config: &mut ServiceConfig) {
    all_routes().register(config);
}
