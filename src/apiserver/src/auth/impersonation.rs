//! `Impersonate-User`, `-Group`, `-Uid` and `-Extra-*`: acting as somebody else, each part of them authorized on its own.

use std::collections::BTreeMap;

use http::header::{HeaderMap, HeaderName};

use super::authenticate::percent;
use super::rbac::{Authorizer, Decision};
use super::{ANONYMOUS, AUTHENTICATED, Attributes, UNAUTHENTICATED, UserInfo, service_account};
use crate::error::{ApiError, go_quote};

const PREFIX: &str = "impersonate-";
const EXTRA: &str = "impersonate-extra-";

/// Exchanges `user` for the one that the headers ask for, if they do; takes the headers out of the request.
///
/// # Errors
/// 400 when parts are asked for without a user name, 403 when one of the parts is not allowed.
pub fn impersonate(headers: &mut HeaderMap, user: &UserInfo, authorizer: &Authorizer) -> Result<Option<UserInfo>, ApiError> {
    let names: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(PREFIX)).cloned().collect();
    if names.is_empty() {
        return Ok(None);
    }
    let wanted = Wanted::of(headers);
    for name in names {
        headers.remove(name);
    }
    if wanted.user.is_empty() {
        if wanted.groups.is_empty() && wanted.extra.is_empty() && wanted.uid.is_empty() {
            return Ok(None);
        }
        return Err(ApiError::bad_request(format!("requested {} without impersonating a user name", wanted.go())));
    }
    wanted.authorize(user, authorizer)?;
    Ok(Some(wanted.into_user()))
}

struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    extra: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let groups = headers.get_all("impersonate-group").iter().filter_map(|v| v.to_str().ok()).map(ToOwned::to_owned).collect();
        let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in headers {
            if let Some(key) = name.as_str().strip_prefix(EXTRA)
                && let Ok(value) = value.to_str()
            {
                extra.entry(percent::decode(key)).or_default().push(value.to_owned());
            }
        }
        Self { user: text("impersonate-user"), uid: text("impersonate-uid"), groups, extra }
    }

    /// The user as Go prints the structure it keeps them in.
    fn go(&self) -> String {
        let list = |values: &[String]| values.iter().map(|v| go_quote(v)).collect::<Vec<_>>().join(", ");
        let groups = if self.groups.is_empty() { "[]string(nil)".to_owned() } else { format!("[]string{{{}}}", list(&self.groups)) };
        let extra = if self.extra.is_empty() {
            "map[string][]string(nil)".to_owned()
        } else {
            let entries: Vec<String> = self.extra.iter().map(|(k, v)| format!("{}:[]string{{{}}}", go_quote(k), list(v))).collect();
            format!("map[string][]string{{{}}}", entries.join(", "))
        };
        format!("&user.DefaultInfo{{Name:{}, UID:{}, Groups:{groups}, Extra:{extra}}}", go_quote(&self.user), go_quote(&self.uid))
    }

    fn authorize(&self, user: &UserInfo, authorizer: &Authorizer) -> Result<(), ApiError> {
        let check = |attributes: Attributes<'_>| match authorizer.authorize(&attributes) {
            Decision::Allow(_) => Ok(()),
            Decision::NoOpinion(reason) => Err(attributes.forbidden(&reason)),
        };
        let base = Attributes { version: "v1", ..Attributes::resource(user, "impersonate", "", "users") };
        match service_account::split_user_name(&self.user) {
            Some((namespace, name)) => check(Attributes { resource: "serviceaccounts", namespace, name, ..base })?,
            None => check(Attributes { name: &self.user, ..base })?,
        }
        let authentication = Attributes { group: "authentication.k8s.io", ..base };
        for group in &self.groups {
            check(Attributes { resource: "groups", name: group, ..base })?;
        }
        for (key, values) in &self.extra {
            for value in values {
                check(Attributes { resource: "userextras", subresource: key, name: value, ..authentication })?;
            }
        }
        if !self.uid.is_empty() {
            check(Attributes { resource: "uids", name: &self.uid, ..authentication })?;
        }
        Ok(())
    }

    fn into_user(self) -> UserInfo {
        let mut groups = self.groups;
        if groups.is_empty()
            && let Some((namespace, _)) = service_account::split_user_name(&self.user)
        {
            groups = service_account::groups(namespace);
        }
        let mut user = UserInfo { name: self.user, uid: self.uid, groups, extra: self.extra };
        if user.name == ANONYMOUS {
            user.add_group(UNAUTHENTICATED);
        } else if !user.is_in(UNAUTHENTICATED) {
            user.add_group(AUTHENTICATED);
        }
        user
    }
}
