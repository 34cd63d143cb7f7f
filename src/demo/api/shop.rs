//! What the phone's home screen is made of: users, orders and prices. Each answer has more in it than a phone shows.
//!
//! One of the APIs can be made to fail, so that the page shows what becomes of the others.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;

use actix_web::http::{StatusCode, header};
use actix_web::web::{self, Data, Path, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::json;

use super::super::idp::USERS;
use super::{Shared, observe};

/// What was ordered, and its price in cents. Every customer has ordered the same.
const ORDERED: [(&str, u32); 6] = [
    ("teapot-blue", 3450),
    ("white-rabbit-watch", 12990),
    ("mad-hatter-hat", 5600),
    ("looking-glass", 8925),
    ("cheshire-mug", 1450),
    ("chess-set-red", 4999),
];

pub(super) fn services(services: &mut ServiceConfig) {
    services
        .route("/shop/users/{sub}", web::get().to(user))
        .route("/shop/orders", web::get().to(orders))
        .route("/shop/prices", web::get().to(prices))
        .route("/shop/prices/{sku}", web::get().to(price))
        .route("/shop/outage", web::get().to(is_outage))
        .route("/shop/outage", web::post().to(outage));
}

async fn user(
    request: HttpRequest,
    body: Payload,
    sub: Path<String>,
    api: Data<Shared>,
) -> HttpResponse {
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    let sub = sub.into_inner();
    let known = USERS.iter().enumerate().find(|(_, user)| user.sub == sub);
    let Some((at, user)) = known else {
        return HttpResponse::NotFound().json(json!({ "error": "nobody is called so" }));
    };
    HttpResponse::Ok().json(json!({
        "id": format!("c-{}", 1001 + at),
        "sub": sub,
        "profile": {
            "displayName": user.name,
            "email": user.email,
            "language": "en-GB",
            "timezone": "Europe/London",
            "avatars": Vec::from(["32", "64", "128", "256"].map(|size| json!({
                "size": size, "address": format!("/avatars/{sub}/{size}.webp"), "type": "image/webp",
            }))),
        },
        "addresses": Vec::from(["home", "work"].map(|kind| json!({
            "kind": kind, "street": "1 Rabbit Hole", "city": "Oxford", "postcode": "OX1 1AA", "country": "GB",
            "verified": true, "location": { "lat": 51.752, "lon": -1.2577 },
        }))),
        "roles": user.roles,
        "consents": Vec::from(["newsletter", "recommendations", "surveys"].map(|about| json!({
            "about": about, "given": false, "at": "2026-02-03T10:00:00Z",
        }))),
        "created": "2024-05-04T09:00:00Z",
    }))
}

#[derive(Deserialize)]
struct Wanted {
    customer: String,
    limit: Option<usize>,
}

async fn orders(
    request: HttpRequest,
    body: Payload,
    wanted: Query<Wanted>,
    api: Data<Shared>,
) -> HttpResponse {
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    let limit = wanted.limit.unwrap_or(usize::MAX);
    let all = ORDERED.iter().zip(2001..).take(limit);
    let order = |((sku, cents), id): (&(&str, u32), u32)| {
        // Two digits behind the point, as a shop writes a price. A number of JSON keeps them.
        let total = format!("{}.{:02}", cents / 100, cents % 100);
        let more = json!({
            "shipping": {
                "carrier": "Dodo Express", "service": "standard", "tracking": format!("DX{id}000GB"),
                "address": { "street": "1 Rabbit Hole", "city": "Oxford", "postcode": "OX1 1AA", "country": "GB" },
            },
            "payment": { "method": "card", "brand": "visa", "last4": "4242", "captured": true },
            "history": Vec::from(["created", "paid", "packed", "sent"].map(|state| json!({
                "state": state, "by": "system", "at": "2026-11-20T08:30:00Z",
            }))),
        });
        format!(
            r#"{{"id":{id},"line":{{"sku":"{sku}","quantity":1,"warehouse":"W3"}},"amount":{{"total":{total},"currency":"GBP","vat":20}},"more":{more}}}"#
        )
    };
    let data: Vec<_> = all.map(order).collect();
    let customer = json!(wanted.customer);
    json_text(format!(
        r#"{{"customer":{customer},"data":[{}],"count":{}}}"#,
        data.join(","),
        ORDERED.len()
    ))
}

/// The prices of several, for a page that asks for itself: `?sku=a,b`.
async fn prices(
    request: HttpRequest,
    body: Payload,
    wanted: Query<Skus>,
    api: Data<Shared>,
) -> HttpResponse {
    if let Err(refusal) = price_api(&request, body, &api).await {
        return refusal;
    }
    let all: Vec<_> = wanted.sku.split(',').filter_map(price_of).collect();
    json_text(format!(r#"{{"data":[{}]}}"#, all.join(",")))
}

#[derive(Deserialize)]
struct Skus {
    sku: String,
}

async fn price(
    request: HttpRequest,
    body: Payload,
    sku: Path<String>,
    api: Data<Shared>,
) -> HttpResponse {
    if let Err(refusal) = price_api(&request, body, &api).await {
        return refusal;
    }
    price_of(&sku).map_or_else(
        || HttpResponse::NotFound().json(json!({ "error": "it is not for sale" })),
        json_text,
    )
}

/// The API that the page can make fail.
async fn price_api(request: &HttpRequest, body: Payload, api: &Shared) -> Result<(), HttpResponse> {
    observe(request, body, api).await?;
    if api.prices_are_down.load(Ordering::Relaxed) {
        return Err(HttpResponse::build(StatusCode::SERVICE_UNAVAILABLE)
            .json(json!({ "error": "prices are down" })));
    }
    Ok(())
}

fn price_of(sku: &str) -> Option<String> {
    let (_, cents) = ORDERED.iter().find(|(known, _)| *known == sku)?;
    // Today everything is a tenth cheaper.
    let now = cents - cents / 10;
    let mut tiers = String::new();
    for (quantity, percent) in [(5, 95), (10, 90), (50, 80), (100, 75)] {
        let comma = if tiers.is_empty() { "" } else { "," };
        let net = now * percent / 100;
        // Writing to a string cannot fail.
        let _ = write!(
            tiers,
            r#"{comma}{{"from":{quantity},"net":{}.{:02},"currency":"GBP"}}"#,
            net / 100,
            net % 100
        );
    }
    Some(format!(
        r#"{{"sku":"{sku}","net":{}.{:02},"currency":"GBP","valid":{{"from":"2026-11-20","to":"2026-12-24"}},"tiers":[{tiers}]}}"#,
        now / 100,
        now % 100
    ))
}

#[derive(Deserialize)]
struct Outage {
    prices: bool,
}

/// Makes the price API fail, or not any more.
async fn outage(
    request: HttpRequest,
    body: Payload,
    outage: Query<Outage>,
    api: Data<Shared>,
) -> HttpResponse {
    if let Err(refusal) = observe(&request, body, &api).await {
        return refusal;
    }
    api.prices_are_down.store(outage.prices, Ordering::Relaxed);
    HttpResponse::Ok().json(json!({ "prices_are_down": outage.prices }))
}

/// Whether it fails now, for a page that has just been loaded.
async fn is_outage(api: Data<Shared>) -> HttpResponse {
    let is_down = api.prices_are_down.load(Ordering::Relaxed);
    HttpResponse::Ok().json(json!({ "prices_are_down": is_down }))
}

fn json_text(text: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/json"))
        .body(text)
}
