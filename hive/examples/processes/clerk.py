"""An agent in Python: fills orders from a stock, tells how many it has filled, and votes on discounts.

Speaks the protocol of docs/PROTOCOL.md with nothing but the standard library.
"""
import json
import sys


def say(line_type, **fields):
    print(json.dumps({"type": line_type, **fields}), flush=True)


def fill(orders):
    """Proposes to fill the first order; whoever takes the last of the stock first has it."""
    order, wanted = sorted(orders.items())[0]
    say("propose", writes=[
        {"op": "add", "key": "stock", "by": -wanted, "at_least": 0},
        {"op": "remove", "key": order},
        {"op": "set", "key": order.replace("orders/", "filled/"), "value": wanted},
    ])


filled = 0
say("hello", protocol=1, under=["orders"], wants=["outcome", "message", "ballot"])
for text in sys.stdin:
    line = json.loads(text)
    if line["type"] == "run":
        orders = line["under"]["orders"]
        fill(orders) if orders else say("pass")
    elif line["type"] == "refused":
        say("pass")  # there is not enough: wait for other orders
    elif line["type"] == "outcome":
        filled += line["outcome"] == "committed"
    elif line["type"] == "message":
        say("reply", value=filled)
    elif line["type"] == "ballot":
        prices = [write["value"] for write in line["writes"] if write["key"] == "discount"]
        say("vote", vote="yes" if prices and max(prices) <= 20 else "no")
    elif line["type"] == "stop":
        say("bye")
        break
