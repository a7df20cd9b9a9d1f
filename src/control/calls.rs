//! What calls mean, and the shape of replies: the part of the server that knows Varlink's own interface.

use serde_json::{Value, json};

use super::protocol::{Approve, Call, DESCRIPTION, INTERFACE, Identified, Plan, SERVICE, WaitFor};

/// Names of one `Wait`.
const WAIT_NAMES: usize = 1000;

/// What a call asks for.
pub(super) enum Method {
    /// Needs no right and no state.
    Answer(Value),
    Approve(Approve),
    List,
    Lock(Identified),
    Pending,
    Plan(Plan),
    Reload,
    Status,
    Unlock(Identified),
    Wait(WaitFor),
}

/// What `call` asks for, or the error to reply.
pub(super) fn method(call: &Call) -> Result<Method, Value> {
    let Some((interface, name)) = call.method.rsplit_once('.') else {
        return Err(service_error("InvalidParameter", "parameter", "method"));
    };
    if call.upgrade {
        return Err(service_error(
            "MethodNotImplemented",
            "method",
            &call.method,
        ));
    }
    match (interface, name) {
        (INTERFACE, "Approve") => approve_parameters(&call.parameters).map(Method::Approve),
        (INTERFACE, "List") => Ok(Method::List),
        (INTERFACE, "Lock") => identity_parameters(&call.parameters).map(Method::Lock),
        (INTERFACE, "Pending") => Ok(Method::Pending),
        (INTERFACE, "Plan") => plan_parameters(&call.parameters).map(Method::Plan),
        (INTERFACE, "Reload") => Ok(Method::Reload),
        (INTERFACE, "Status") => Ok(Method::Status),
        (INTERFACE, "Unlock") => identity_parameters(&call.parameters).map(Method::Unlock),
        (INTERFACE, "Wait") => wait_parameters(&call.parameters).map(Method::Wait),
        (SERVICE, "GetInfo") => Ok(Method::Answer(reply(information(), false))),
        (SERVICE, "GetInterfaceDescription") => describe(&call.parameters).map(Method::Answer),
        (INTERFACE | SERVICE, _) => Err(service_error("MethodNotFound", "method", &call.method)),
        _ => Err(service_error("InterfaceNotFound", "interface", interface)),
    }
}

fn approve_parameters(parameters: &Value) -> Result<Approve, Value> {
    serde_json::from_value(parameters.clone())
        .map_err(|_| service_error("InvalidParameter", "parameter", "id"))
}

fn identity_parameters(parameters: &Value) -> Result<Identified, Value> {
    if parameters.is_null() {
        return Ok(Identified::default());
    }
    serde_json::from_value(parameters.clone())
        .map_err(|_| service_error("InvalidParameter", "parameter", "identity"))
}

fn plan_parameters(parameters: &Value) -> Result<Plan, Value> {
    if parameters.is_null() {
        return Ok(Plan::default());
    }
    serde_json::from_value(parameters.clone())
        .map_err(|_| service_error("InvalidParameter", "parameter", "dry_run"))
}

fn wait_parameters(parameters: &Value) -> Result<WaitFor, Value> {
    if parameters.is_null() {
        return Ok(WaitFor::default());
    }
    let wanted = serde_json::from_value::<WaitFor>(parameters.clone())
        .map_err(|_| service_error("InvalidParameter", "parameter", "names, timeout"))?;
    if wanted.names.len() > WAIT_NAMES {
        return Err(service_error("InvalidParameter", "parameter", "names"));
    }
    Ok(wanted)
}

fn information() -> Value {
    json!({
        "vendor": "secretsd",
        "product": "secretsd",
        "version": env!("CARGO_PKG_VERSION"),
        "url": env!("CARGO_PKG_REPOSITORY"),
        "interfaces": [SERVICE, INTERFACE],
    })
}

fn describe(parameters: &Value) -> Result<Value, Value> {
    let interface = parameters.get("interface").and_then(Value::as_str);
    let description = match interface {
        Some(INTERFACE) => DESCRIPTION,
        Some(SERVICE) => SERVICE_DESCRIPTION,
        Some(other) => return Err(service_error("InterfaceNotFound", "interface", other)),
        None => return Err(service_error("InvalidParameter", "parameter", "interface")),
    };
    Ok(reply(json!({ "description": description }), false))
}

/// A reply; `continues`: more will come.
pub(super) fn reply(parameters: Value, continues: bool) -> Value {
    if continues {
        json!({ "parameters": parameters, "continues": true })
    } else {
        json!({ "parameters": parameters })
    }
}

/// An error as a reply.
pub(super) fn error_reply(error: &str, parameters: Value) -> Value {
    json!({ "error": error, "parameters": parameters })
}

/// An error of Varlink's own interface.
pub(super) fn service_error(error: &str, parameter: &str, value: &str) -> Value {
    error_reply(&format!("{SERVICE}.{error}"), json!({ parameter: value }))
}

/// The interface that Varlink itself defines.
const SERVICE_DESCRIPTION: &str = "\
interface org.varlink.service

method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

method GetInterfaceDescription(interface: string) -> (description: string)

error InterfaceNotFound (interface: string)
error MethodNotFound (method: string)
error MethodNotImplemented (method: string)
error InvalidParameter (parameter: string)
error PermissionDenied ()
error ExpectedMore ()
";
