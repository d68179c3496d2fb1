//! Bills as people read them: one in full, and what is asked about it.

mod bill;
mod dispute;

use crate::web::routes::Routes;

/// The routes of this area.
pub(in crate::web) fn routes(routes: &mut Routes) {
    routes.get("/bills/{number}.pdf", bill::file);
    routes.get("/bills/{number}", bill::bill);
    routes.get("/bills/{number}/dispute", dispute::form);
    routes.post("/bills/{number}/dispute", dispute::ask);
}
