"""AWS KMS by moto over TLS, with one mend: moto ignores the state of a key, and AWS refuses disabled ones.

Usage: moto-kms.py CERTIFICATE KEY. Prints the port. Ends with its standard input.
"""
import sys
import threading

from moto.kms.models import KmsBackend
from moto.core.exceptions import JsonRESTError
from moto.server import ThreadedMotoServer  # noqa: F401  (fails early where the server's parts are missing)
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class Disabled(JsonRESTError):
    code = 400

    def __init__(self, name, message):
        super().__init__(name, message)


def refuse_unusable(backend, key_id):
    key = backend.keys.get(backend.any_id_to_key_id(key_id))
    if key is None or key.key_state == "Enabled":
        return
    if key.key_state == "Disabled":
        raise Disabled("DisabledException", f"{key.arn} is disabled.")
    raise Disabled("KMSInvalidStateException", f"{key.arn} is pending deletion.")


def guarded(name, argument):
    original = getattr(KmsBackend, name)

    def call(self, *args, **kwargs):
        key_id = kwargs.get(argument, args[0] if args else None)
        if name == "decrypt":
            blob = kwargs.get("ciphertext_blob", args[0] if args else b"")
            # moto's ciphertext begins with the id of its key.
            key_id = blob[:36].decode("utf-8")
        refuse_unusable(self, key_id)
        return original(self, *args, **kwargs)

    setattr(KmsBackend, name, call)


guarded("encrypt", "key_id")
guarded("decrypt", "ciphertext_blob")

server = make_server(
    "127.0.0.1",
    0,
    DomainDispatcherApplication(create_backend_app),
    threaded=True,
    ssl_context=(sys.argv[1], sys.argv[2]),
)
print(server.server_port, flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
