"""Decrypts and encrypts streams with Google's own Tink, given key and associated data; prints SHA-256, or the stream."""

import hashlib
import io
import json
import sys

import tink
from tink import cleartext_keyset_handle, streaming_aead
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2

streaming_aead.register()


def primitive(key, params):
    streaming_key = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(
        version=0,
        key_value=key,
        params=aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
            ciphertext_segment_size=params["segmentBytes"],
            derived_key_size=params["keyBytes"],
            hkdf_hash_type=common_pb2.HashType.Value(params["hash"].upper()),
        ),
    )
    keyset = tink_pb2.Keyset(primary_key_id=1)
    entry = keyset.key.add(key_id=1, status=tink_pb2.ENABLED, output_prefix_type=tink_pb2.RAW)
    entry.key_data.type_url = "type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey"
    entry.key_data.value = streaming_key.SerializeToString()
    entry.key_data.key_material_type = tink_pb2.KeyData.SYMMETRIC
    handle = cleartext_keyset_handle.read(tink.BinaryKeysetReader(keyset.SerializeToString()))
    return handle.primitive(streaming_aead.StreamingAead)


def ciphertext_of(stream):
    if "ciphertext" in stream:
        return bytes.fromhex(stream["ciphertext"])
    with open(stream["file"], "rb") as file:
        file.seek(stream["offset"])
        return file.read(stream["length"])


def decrypt(stream):
    ciphertext = io.BytesIO(ciphertext_of(stream))
    aead = primitive(bytes.fromhex(stream["key"]), stream["format"])
    try:
        with aead.new_decrypting_stream(ciphertext, stream["associated"].encode()) as plaintext:
            return hashlib.sha256(plaintext.read()).hexdigest()
    except Exception as error:
        return type(error).__name__


class Sink(io.BytesIO):
    """Tink closes what it writes to; the bytes are wanted after that."""

    def close(self):
        self.written = self.getvalue()
        super().close()


def encrypt(stream):
    sink = Sink()
    aead = primitive(bytes.fromhex(stream["key"]), stream["format"])
    with aead.new_encrypting_stream(sink, stream["associated"].encode()) as plaintext:
        plaintext.write(bytes.fromhex(stream["plaintext"]))
    return sink.written.hex()


work = {"decrypt": decrypt, "encrypt": encrypt}
print(json.dumps([work[stream.get("do", "decrypt")](stream) for stream in json.load(sys.stdin)]))
