"""obstore as Flyte's SDK uses it inside tasks."""

import datetime
import pathlib

import obstore
from obstore import exceptions
from obstore.store import S3Store

from driver import STORE, serve

S3 = S3Store(
    STORE["bucket"],
    endpoint=STORE["endpoint"],
    region=STORE["region"],
    access_key_id=STORE["credentials"]["accessKeyId"],
    secret_access_key=STORE["credentials"]["secretAccessKey"],
    session_token=STORE["credentials"]["sessionToken"],
    virtual_hosted_style_request=False,
    checksum_algorithm="SHA256",
    retry_config={"max_retries": 0, "retry_timeout": datetime.timedelta(seconds=10)},
)


def put(key, file, contentType=None, metadata=None, ifAbsent=False, checksum=None):
    attributes = dict(metadata or {})
    if contentType:
        attributes["Content-Type"] = contentType
    extra = {"mode": "create", "use_multipart": False} if ifAbsent else {}
    obstore.put(S3, key, pathlib.Path(file), attributes=attributes or None, **extra)


def save(body, file):
    with open(file, "wb") as target:
        target.write(bytes(body))


def get(key, file):
    with open(file, "wb") as target:
        for chunk in obstore.get(S3, key).stream():
            target.write(bytes(chunk))


def get_range(key, first, last, file):
    save(obstore.get_range(S3, key, start=first, end=last + 1), file)


def get_if_changed(key, etag, file):
    save(obstore.get(S3, key, options={"if_none_match": etag}).bytes(), file)


def head(key):
    meta = obstore.head(S3, key)
    attributes = dict(obstore.get(S3, key).attributes)
    content_type = attributes.pop("Content-Type", "")
    return {"sizeBytes": meta["size"], "etag": meta["e_tag"], "contentType": content_type, "metadata": attributes}


def list_all(prefix):
    # obstore's prefixes are whole path segments.
    keys = [entry["path"] for batch in obstore.list(S3, prefix.rstrip("/"), chunk_size=7) for entry in batch]
    return {"keys": keys, "prefixes": []}


def list_folder(prefix):
    answer = obstore.list_with_delimiter(S3, prefix.rstrip("/"))
    return {
        "keys": [entry["path"] for entry in answer["objects"]],
        "prefixes": [f"{path}/" for path in answer["common_prefixes"]],
    }


def copy(source, target):
    obstore.copy(S3, source, target)


def remove(keys):
    obstore.delete(S3, keys)


def presign(method, key):
    return obstore.sign(S3, method, key, datetime.timedelta(seconds=600))


def outcome_of(error):
    if isinstance(error, (FileNotFoundError, exceptions.NotFoundError)):
        return "not_found"
    if isinstance(error, (exceptions.AlreadyExistsError, exceptions.PreconditionError)):
        return "exists"
    if isinstance(error, exceptions.NotModifiedError):
        return "not_modified"
    if isinstance(error, (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)):
        return "denied"
    # Conflicts of plain PUTs and refusals of listings have no class of their own.
    if "403 Forbidden" in str(error):
        return "denied"
    return "exists" if "409 Conflict" in str(error) else None


serve(
    {
        "put": put,
        "get": get,
        "get_range": get_range,
        "get_if_changed": get_if_changed,
        "head": head,
        "list": list_all,
        "list_folder": list_folder,
        "copy": copy,
        "remove": remove,
        "presign": presign,
    },
    outcome_of,
)
