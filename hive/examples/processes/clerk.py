"""An agent in Python: fills orders from a stock, tells how many it has filled, and votes on discounts.

Speaks the protocol of docs/PROTOCOL.md with nothing but the standard library.
"""
import json
import sys


def say(line_type, **fields):
    print(json.dumps({"type": line_type, **fields}), flush=True)


def fill(stock, orders):
    """Proposes to fill what there is enough for. If an order or the stock is changed meanwhile, it is run again."""
    writes = []
    for order, wanted in sorted(orders.items()):
        if wanted <= stock:
            stock -= wanted
            writes.append({"op": "add", "key": "stock", "by": -wanted})
            writes.append({"op": "remove", "key": order})
            writes.append({"op": "set", "key": order.replace("orders/", "filled/"), "value": wanted})
    say("propose", writes=writes) if writes else say("pass")
    return len(writes) // 3


filling = 0
filled = 0
say("hello", protocol=1, keys=["stock"], under=["orders"], wants=["outcome", "message", "ballot"])
for text in sys.stdin:
    line = json.loads(text)
    if line["type"] == "run":
        filling = fill(line["keys"]["stock"], line["under"]["orders"])
    elif line["type"] == "outcome":
        filled += filling if line["outcome"] == "committed" else 0
    elif line["type"] == "message":
        say("reply", value=filled)
    elif line["type"] == "ballot":
        prices = [write["value"] for write in line["writes"] if write["key"] == "discount"]
        say("vote", vote="yes" if prices and max(prices) <= 20 else "no")
    elif line["type"] == "stop":
        say("bye")
        break
