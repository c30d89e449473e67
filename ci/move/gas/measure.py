"""Measures the functions of `gas_probe` on a Sui Move VM: see ../gas.mjs.

Reads {"modules": [base64], "worlds": [[name]]}, writes {"steps": [{"units", "up_to": turns}], "costs": {name: {"turns", "bytes"}}}.
"""

import base64
import json
import multiprocessing
import sys

import sui_sandbox

PACKAGE = "0x" + "0" * 60 + "daa5"
NOW_MS = 1_000_000
LATER_MS = 10**13
# What is charged is rounded up to one of these.
STEPS = [1_000, 5_000, 10_000, 20_000, 50_000, 200_000, 1_000_000]


def published(module):
    """The module at the package's address instead of zero."""
    code = base64.b64decode(module)
    address = bytes.fromhex(PACKAGE[2:])
    if address not in code:
        at = code.index(bytes(32))
        code = code[:at] + address + code[at + 32 :]
    return base64.b64encode(code).decode()


def clock(object_id, time_ms):
    code = bytes.fromhex(object_id[2:]) + time_ms.to_bytes(8, "little")
    return {"object_id": object_id, "bcs_bytes": code, "type_tag": "0x2::clock::Clock", "is_shared": True}


def run(modules, name, turns, does):
    """Units charged and the number returned."""
    coin = "0x" + "11" * 32
    value = bytes.fromhex(coin[2:]) + (10**12).to_bytes(8, "little")
    objects = [
        {"object_id": coin, "bcs_bytes": value, "type_tag": "0x2::coin::Coin<0x2::sui::SUI>", "owner": "address_owned"},
        clock("0x" + "0" * 63 + "6", NOW_MS),
        clock("0x" + "22" * 32, LATER_MS),
    ]
    result = sui_sandbox.call_view_function(
        PACKAGE,
        "gas_probe",
        name,
        object_inputs=objects,
        pure_inputs=[turns.to_bytes(8, "little"), bytes([does])],
        package_bytecodes={PACKAGE: modules},
        fetch_deps=False,
    )
    if not result["success"]:
        raise SystemExit(f"{name}: {result['error']}")
    return result["gas_used"], int.from_bytes(base64.b64decode(result["return_values"][0][0]), "little")


def turns_above(modules, name, does, units):
    """The fewest turns that are charged more than `units`."""
    low, high = -1, 64
    while run(modules, name, high, does)[0] <= units:
        low, high = high, high * 2
    return between(modules, name, does, units, low, high)


def turns_below(modules, name, units, without):
    """The same with the call, of which it is known that it takes no more turns than `without` it."""
    high, step = without, 32
    while high - step >= 0 and run(modules, name, high - step, True)[0] > units:
        high, step = high - step, step * 2
    return between(modules, name, True, units, max(high - step, -1), high)


def between(modules, name, does, units, low, high):
    while high - low > 1:
        middle = (low + high) // 2
        if run(modules, name, middle, does)[0] <= units:
            low = middle
        else:
            high = middle
    return high


def costs(job):
    """Of functions that build the same world, whose loop needs to be measured once for each limit."""
    modules, names = job
    found, without = {}, {}
    for name in names:
        units, grown = run(modules, name, 0, True)
        if units not in without:
            without[units] = turns_above(modules, name, False, units)
        turns = without[units] - turns_below(modules, name, units, without[units])
        found[name] = {"turns": turns, "bytes": grown - 1_000_000}
    return found


def main():
    asked = json.load(sys.stdin)
    modules = [published(module) for module in asked["modules"]]
    found = {}
    with multiprocessing.Pool(2) as pool:
        for some in pool.imap(costs, [(modules, names) for names in asked["worlds"]]):
            found.update(some)
    # The loop alone: up to how many turns each step is charged, beside what its objects cost.
    objects = run(modules, "spin", 0, False)[0] - STEPS[0]
    steps = []
    for units in STEPS:
        steps.append({"units": units, "up_to": turns_above(modules, "spin", False, units + objects) - 1})
    json.dump({"steps": steps, "costs": found}, sys.stdout)


if __name__ == "__main__":
    main()
