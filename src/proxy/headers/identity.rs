//! Request headers by which a proxy tells an API who is calling, and over which connection.
//!
//! An API believes them, because the proxy in front of it sets them. Here sealgate is that proxy, so a client's own do not
//! pass. A route's `strip_headers` adds to the list.
//!
//! # Why a list of what does not pass
//! Apps send headers of any name to their APIs, so a list of what passes would break them.

/// Whether a header, its name in lower case, says who the client is.
pub(super) fn is_claim(name: &str) -> bool {
    if let Some(rest) = name.strip_prefix("x-") {
        return is_x_claim(rest);
    }
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    match name.as_bytes().first() {
        Some(b'a') => name == "auth-user" || begins(&["auth-request-"]),
        // Cloudflare; RFC 9440.
        Some(b'c') => {
            matches!(
                name,
                "cf-connecting-ip" | "cf-connecting-ipv6" | "cf-pseudo-ipv4" | "client-ip"
            ) || begins(&["cf-access-", "cf-client-cert", "client-cert"])
        }
        Some(b'f') => matches!(name, "fastly-client-ip" | "front-end-https"),
        // oauth2-proxy
        Some(b'g') => begins(&["gap-"]),
        // IBM WebSEAL; the API server of Kubernetes
        Some(b'i') => begins(&["impersonate-", "iv-"]),
        // mod_auth_mellon
        Some(b'm') => begins(&["mellon-"]),
        Some(b'n') => begins(&["ngrok-auth-"]),
        // mod_auth_openidc; Oracle Access Manager
        Some(b'o') => begins(&["oam-", "oidc-"]),
        Some(b'p') => begins(&["posit-connect-"]),
        // Authelia, CGI; RStudio Connect
        Some(b'r') => begins(&["remote-", "rstudio-connect-"]),
        // Snowflake; Shibboleth; SiteMinder; ingress-nginx
        Some(b's') => begins(&[
            "sf-context-",
            "shib-",
            "shiny-server-",
            "sm-user",
            "sm-serversession",
            "ssl-client",
        ]),
        Some(b't') => name == "true-client-ip" || begins(&["tailscale-", "teleport-jwt-assertion"]),
        // WebLogic's plug-ins
        Some(b'w') => begins(&["wl-proxy-client-"]),
        Some(b'y') => begins(&["ynh-user"]),
        _ => false,
    }
}

/// The same for what stands behind `x-`.
fn is_x_claim(rest: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| rest.starts_with(prefix));
    match rest.as_bytes().first() {
        // nginx; AWS; Kong; App Engine; Azure App Service; Keycloak's Gatekeeper, Traefik; authentik
        Some(b'a') => begins(&[
            "accel-",
            "access-token",
            "amzn-mtls-",
            "amzn-oidc-",
            "amzn-request-context",
            "anonymous-consumer",
            "apigateway-api-userinfo",
            "appengine-",
            "arr-clientcert",
            "arr-ssl",
            "auth-",
            "authenticated-",
            "authentik-",
            "azure-clientip",
            "azure-socketip",
        ]),
        // Kong; Cosmos
        Some(b'c') => {
            matches!(rest, "client-ip" | "client-dn" | "cluster-client-ip")
                || begins(&[
                    "client-cert",
                    "client-verify",
                    "clientcert",
                    "consumer-",
                    "cosmos-",
                    "credential-",
                ])
        }
        // Cloud Endpoints; Envoy, which also obeys some of them
        Some(b'e') => begins(&["endpoint-api-userinfo", "envoy-"]),
        Some(b'f') => begins(&["forwarded"]),
        // Google's Identity-Aware Proxy
        Some(b'g') => begins(&["goog-authenticated-", "goog-iap-"]),
        Some(b'i') => rest == "id-token",
        // WSO2; Istio
        Some(b'j') => begins(&["jwt-assertion", "jwt-claim-", "jwt-payload"]),
        Some(b'm') => begins(&["middleware-", "ms-client-principal", "ms-token-"]),
        Some(b'o') => begins(&["original-", "originating-ip"]),
        Some(b'p') => begins(&["pomerium-"]),
        Some(b'r') => {
            matches!(rest, "real-ip" | "rewrite-url") || begins(&["remote-", "replit-user"])
        }
        // Sandstorm; HAProxy
        Some(b's') => rest == "scheme" || begins(&["sandstorm-", "sendfile", "ssl"]),
        // caddy-security; Traefik
        Some(b't') => begins(&["tls-client", "token-subject", "token-user"]),
        Some(b'u') => rest == "url-scheme" || begins(&["user"]),
        // Vouch
        Some(b'v') => begins(&["vouch-"]),
        // Grafana
        Some(b'w') => begins(&["webauth-"]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_popular_proxies_say_of_a_user_is_a_claim() {
        // N of the review: each as its documentation writes it, in lower case
        for name in [
            "auth-user",
            "cf-access-authenticated-user-email",
            "cf-access-jwt-assertion",
            "cf-client-cert-sha256",
            "cf-connecting-ip",
            "client-cert",
            "client-cert-chain",
            "gap-signature",
            "impersonate-extra-scopes",
            "impersonate-user",
            "iv-user",
            "mellon-name-id",
            "ngrok-auth-user-email",
            "oidc-access-token",
            "oidc-claim-sub",
            "remote-groups",
            "remote-user",
            "sf-context-current-user",
            "shib-session-id",
            "sm-userdn",
            "ssl-client-cert",
            "ssl-client-subject-dn",
            "ssl-client-verify",
            "tailscale-user-login",
            "teleport-jwt-assertion",
            "true-client-ip",
            "x-access-token",
            "x-amzn-mtls-clientcert",
            "x-amzn-oidc-data",
            "x-amzn-oidc-identity",
            "x-anonymous-consumer",
            "x-appengine-user-email",
            "x-arr-clientcert",
            "x-auth-request-email",
            "x-auth-subject",
            "x-auth-username",
            "x-authenticated-userid",
            "x-authentik-groups",
            "x-authentik-jwt",
            "x-authentik-username",
            "x-client-cert",
            "x-client-verify",
            "x-consumer-username",
            "x-credential-identifier",
            "x-endpoint-api-userinfo",
            "x-envoy-external-address",
            "x-forwarded-access-token",
            "x-forwarded-client-cert",
            "x-forwarded-email",
            "x-forwarded-preferred-username",
            "x-goog-authenticated-user-email",
            "x-goog-iap-jwt-assertion",
            "x-id-token",
            "x-jwt-assertion",
            "x-ms-client-principal",
            "x-ms-client-principal-name",
            "x-ms-token-aad-access-token",
            "x-ms-token-aad-id-token",
            "x-original-url",
            "x-pomerium-claim-email",
            "x-pomerium-jwt-assertion",
            "x-real-ip",
            "x-remote-extra-scopes",
            "x-remote-group",
            "x-replit-user-id",
            "x-sandstorm-permissions",
            "x-ssl-client-s-dn",
            "x-tls-client-verified",
            "x-token-user-roles",
            "x-userinfo",
            "x-vouch-idp-claims-groups",
            "x-vouch-user",
            "x-webauth-user",
        ] {
            assert!(is_claim(name), "{name}");
        }
    }

    #[test]
    fn what_apps_and_browsers_send_is_none() {
        for name in [
            "accept",
            "content-type",
            "if-match",
            "idempotency-key",
            "origin",
            "range",
            "save-data",
            "sec-fetch-site",
            "traceparent",
            "user-agent",
            "x-anything",
            "x-api-key",
            "x-app-version",
            "x-client-version",
            "x-correlation-id",
            "x-goog-api-key",
            "x-ms-version",
            "x-request-id",
            "x-requested-with",
            "x-session-id",
            "x-tenant",
            "x-trace",
        ] {
            assert!(!is_claim(name), "{name}");
        }
    }
}
