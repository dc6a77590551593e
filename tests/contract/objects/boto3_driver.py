"""boto3 as its users call it: the managed transfers for files, the client for the rest."""

import boto3
from boto3.exceptions import S3UploadFailedError
from botocore.config import Config
from botocore.exceptions import ClientError

from driver import STORE, serve

BUCKET = STORE["bucket"]
CLIENT = boto3.client(
    "s3",
    endpoint_url=STORE["endpoint"],
    region_name=STORE["region"],
    aws_access_key_id=STORE["credentials"]["accessKeyId"],
    aws_secret_access_key=STORE["credentials"]["secretAccessKey"],
    aws_session_token=STORE["credentials"]["sessionToken"],
    config=Config(s3={"addressing_style": "path"}, signature_version="s3v4", retries={"total_max_attempts": 1}),
)
OUTCOMES = {304: "not_modified", 403: "denied", 404: "not_found", 409: "exists", 412: "exists"}


def put(key, file, contentType=None, metadata=None, ifAbsent=False, checksum=None):
    if ifAbsent or checksum:
        extra = {}
        if ifAbsent:
            extra["IfNoneMatch"] = "*"
        if checksum:
            extra["ChecksumAlgorithm"] = checksum
        with open(file, "rb") as body:
            CLIENT.put_object(Bucket=BUCKET, Key=key, Body=body, **extra)
        return
    extra = {}
    if contentType:
        extra["ContentType"] = contentType
    if metadata:
        extra["Metadata"] = metadata
    CLIENT.upload_file(file, BUCKET, key, ExtraArgs=extra)


def get(key, file):
    CLIENT.download_file(BUCKET, key, file)


def save(answer, file):
    with open(file, "wb") as target:
        target.write(answer["Body"].read())


def get_range(key, first, last, file):
    save(CLIENT.get_object(Bucket=BUCKET, Key=key, Range=f"bytes={first}-{last}"), file)


def get_if_changed(key, etag, file):
    save(CLIENT.get_object(Bucket=BUCKET, Key=key, IfNoneMatch=etag), file)


def head(key):
    answer = CLIENT.head_object(Bucket=BUCKET, Key=key)
    return {
        "sizeBytes": answer["ContentLength"],
        "etag": answer["ETag"],
        "contentType": answer["ContentType"],
        "metadata": answer["Metadata"],
    }


def list_all(prefix):
    keys = []
    pages = CLIENT.get_paginator("list_objects_v2").paginate(
        Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 7}
    )
    for page in pages:
        keys += [entry["Key"] for entry in page.get("Contents", [])]
    return {"keys": keys, "prefixes": []}


def list_folder(prefix):
    page = CLIENT.list_objects_v2(Bucket=BUCKET, Prefix=prefix, Delimiter="/")
    return {
        "keys": [entry["Key"] for entry in page.get("Contents", [])],
        "prefixes": [entry["Prefix"] for entry in page.get("CommonPrefixes", [])],
    }


def copy(source, target):
    CLIENT.copy({"Bucket": BUCKET, "Key": source}, BUCKET, target)


def remove(keys):
    answer = CLIENT.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert not answer.get("Errors"), answer["Errors"]


def presign(method, key):
    operation = {"GET": "get_object", "PUT": "put_object"}[method]
    return CLIENT.generate_presigned_url(operation, Params={"Bucket": BUCKET, "Key": key}, ExpiresIn=600)


def outcome_of(error):
    if isinstance(error, ClientError):
        return OUTCOMES.get(error.response["ResponseMetadata"]["HTTPStatusCode"])
    # Managed uploads wrap the client's error in one of their own, as text.
    if isinstance(error, S3UploadFailedError):
        return "denied" if "(AccessDenied)" in str(error) else "exists" if "Conflict)" in str(error) else None
    return None


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
