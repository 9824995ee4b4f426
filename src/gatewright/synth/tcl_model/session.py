# SPDX-License-Identifier: Apache-2.0
"""Commands that work on any object, and on the session."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gatewright.synth.tcl_model import objects, words
from gatewright.synth.tcl_model.arguments import Call, Complaint, check_value
from gatewright.synth.tcl_model.model import Model, does
from gatewright.synth.tcl_model.objects import Filter, Thing
from gatewright.synth.tcl_model.table import Slot

Setter = Callable[[Model, Thing, str, str], None]
Getter = Callable[[Thing, str], "str | None"]
SETTERS: dict[str, Setter] = {}
"""What setting a property does beyond setting it, by kind of object."""
GETTERS: dict[str, Getter] = {}
"""Properties that are not kept with the object, by kind of object."""
PARAMETERS = (
    "general.maxThreads", "synth.maxThreads", "place.maxThreads", "tcl.collectionResultDisplayLimit",
    "messaging.defaultLimit", "project.enableVHDL2008", "bd.skipSupportedIPCheck", "labtools.auto_update_hardware",
    "general.maxBackupLogs", "power.enableUnconnectedCarry8PinPower", "ips.enableInterfaceArrayInference",
)  # fmt: skip
"""UG835 set_param, list_param."""


@does("set_property")
def set_property(model: Model, call: Call) -> str:
    """One property, or a dictionary of them, of every object."""
    targets = " ".join(call.several.get("objects", ()))
    if "-dict" in call.values:
        pairs = words.split(call.values["-dict"])
        targets = " ".join([*(call.get(n) for n in ("name", "value") if call.has(n)), targets])
    elif "-name" in call.values and "-value" in call.values:
        pairs = [call.values["-name"], call.values["-value"]]
    elif "name" in call.values and "value" in call.values:
        pairs = [call.values["name"], call.values["value"]]
    else:
        raise Complaint("set_property: a name, a value and objects are needed, or -dict and objects")
    for thing in model.objects("any", targets):
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            _set(model, thing, key, value)
    return ""


def _set(model: Model, thing: Thing, key: str, value: str) -> None:
    there, kind, guide = objects.legal(thing.kind, key, write=True)
    if not there:
        if objects.legal(thing.kind, key, write=False)[0]:
            raise Complaint(f"property {key!r} of a {thing.kind} cannot be set ({guide})")
        hint = words.meant(key, objects.known(thing.kind))
        raise Complaint(f"a {thing.kind} has no property {key!r}{hint} ({guide})")
    if kind != "text":
        check_value(Slot(f"{key} of {thing.name}:", kind, True), value, model.cwd, model.objects)
    if thing.kind in SETTERS:
        SETTERS[thing.kind](model, thing, key, value)
    thing.set(key, value)


@does("get_property")
def get_property(model: Model, call: Call) -> str:
    """The property of an object, or of each."""
    found = []
    for thing in model.objects("any", call.get("object")):
        key = call.get("name")
        there, _, guide = objects.legal(thing.kind, key, write=False)
        getter = GETTERS.get(thing.kind)
        value = (getter(thing, key) if getter else None) or thing.get(key)
        if not there and value is None:
            raise Complaint(
                f"a {thing.kind} has no property {key!r}{words.meant(key, objects.known(thing.kind))} ({guide})"
            )
        found.append(model.answers.get(key.upper(), value or ""))
    return found[0] if len(found) == 1 else words.join(found)


@does("list_property")
def list_property(model: Model, call: Call) -> str:
    """Names of an object's properties."""
    if not call.has("object"):
        return ""
    things = model.objects("any", call.get("object"))
    return words.join(sorted({*objects.known(things[0].kind), *things[0].values}))


@does("reset_property")
def reset_property(model: Model, call: Call) -> str:
    """Back to what it began with; here, to nothing."""
    for thing in model.objects("any", " ".join(call.several["objects"])):
        if not objects.legal(thing.kind, call.get("property_name"), write=True)[0]:
            raise Complaint(f"a {thing.kind} has no property {call.get('property_name')!r}")
        thing.values.pop(call.get("property_name").upper(), None)
    return ""


@does("filter")
def filter_objects(model: Model, call: Call) -> list[Thing] | str:
    """Objects for which an expression holds; an empty list stays empty."""
    if not words.split(call.get("objects")):
        return ""
    found = Filter(call.get("filter")).keep(model.objects("any", call.get("objects")))
    if not found:
        model.nothing = f": filter {call.get('filter')} in line {model.place[1]} left none"
    return found


@does("version")
def version(model: Model, call: Call) -> str:
    """The release."""
    return "{}.{}".format(*model.release) if call.flags else "Vivado v{}.{}".format(*model.release)


@does("set_param", "get_param")
def parameter(model: Model, call: Call) -> str:
    """A parameter of the session."""
    name = call.get("name")
    if name not in PARAMETERS:
        raise Complaint(f"{call.command.name}: parameter {name!r} is not known here{words.meant(name, PARAMETERS)}")
    return call.get("value") or "0"


@does("list_param")
def list_param(model: Model, call: Call) -> str:
    """Those that are known here."""
    return words.join(PARAMETERS)


@does("common::send_msg_id", "send_msg_id")
def message(model: Model, call: Call) -> str:
    """To the console; an error ends the script, as the tool does it."""
    model.said.append(f"{call.get('severity')}: {call.get('msg')}")
    if call.get("severity") == "ERROR":
        raise Complaint(f"the script reports an error: {call.get('msg')}")
    return ""


def real(model: Model, path: str) -> str:
    """A path as the tools show it: absolute, as written otherwise."""
    return str(Path(model.cwd, path).resolve())
