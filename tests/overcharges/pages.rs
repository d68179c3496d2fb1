//! The pages: cases with the most money first, and both sides of each finding beside each other.

use aquabills::domain::roles::Role;

use super::*;
use crate::support::http::Served;
use crate::support::on_both;
use crate::support::pages::{follow, open, says};

on_both! {
    fn a_supervisor_looks_sees_both_sides_and_dismisses(town: Town) {
        let mut town = town.with_services(&["A1,S1,SHOP,M1", "A2,S2,HOME,M2"]);
        town.reads(&["M1,2026-01-01,100", "M1,2026-02-01,120", "M2,2026-01-01,100", "M2,2026-02-01,110"]);
        town.bill("2026-02-01");
        put_right(&town, &terms("S1", "2026-01-01", Some("HOME"), &[]));
        set_aside(&town, "M2", "2026-02-01");
        corrected(&town, "M2", "2026-02-01", 109);
        let site = Served::new(&mut town);
        let mut supervisor = site.staff(Role::Supervisor);
        let page = open(&mut supervisor, "/staff/overcharges");
        says(&page, "Every bill is what it should be");
        let looked = supervisor.post_form(&page, "/staff/overcharges", &[]);
        let page = follow(&mut supervisor, &looked);
        for words in ["what is new is listed", "$22.00", "Wrong rate class", "service S1", "$20.00", "Wrong read"] {
            says(&page, words);
        }
        assert!(page.body.find("Wrong rate class") < page.body.find("Wrong read"), "the most money first");
        let cases = open_cases(&town);
        let path = format!("/staff/overcharges/{}", cases[0].row.id);
        let page = open(&mut supervisor, &path);
        for words in ["Billed", "Should have been", "class SHOP", "class HOME", "$85.00", "$65.00", "−$20.00", "20 used", "Dismiss the case"] {
            says(&page, words);
        }
        let refused = supervisor.post_form(&page, &format!("{path}/dismiss"), &[("note", " ")]);
        assert_eq!(refused.status, 422);
        says(&refused, "expected why nothing is to be done");
        let mut clerk = site.staff(Role::Clerk);
        assert!(!open(&mut clerk, &path).body.contains("Dismiss the case"));
        let dismissed = supervisor.post_form(&page, &format!("{path}/dismiss"), &[("note", "agreed with the customer")]);
        says(&follow(&mut supervisor, &dismissed), "The case is dismissed");
        says(&open(&mut supervisor, &path), "agreed with the customer");
        says(&open(&mut supervisor, "/staff/overcharges?all=yes"), "dismissed");
        assert_eq!(supervisor.get("/staff/overcharges/99").status, 404);
    }
}
