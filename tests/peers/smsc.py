"""An SMS centre of another hand: the server of PyPI's smpp34. Prints one line for each message, in JSON.

    smsc.py PORT
"""

import asyncio
import json
import sys

import smpp34


async def main():
    server = smpp34.Server("127.0.0.1", int(sys.argv[1]))
    await server.start()
    print("listening", flush=True)
    number = 0
    while (event := await server.next()) is not None:
        if not isinstance(event, smpp34.SubmitSmEvent):
            print(type(event).__name__, getattr(event, "system_id", ""), flush=True)
            continue
        number += 1
        print(json.dumps({
            "to": event.destination_addr,
            "ton": event.dest_addr_ton,
            "esm_class": event.esm_class,
            "data_coding": event.data_coding,
            "registered_delivery": event.registered_delivery,
            "user_data": event.short_message.hex(),
        }), flush=True)
        event.accept(f"{number:08x}")


asyncio.run(main())
