"""Printed documents in a private S3 bucket, read by presigned addresses."""

from __future__ import annotations

from typing import Any, Final

from botocore.exceptions import ClientError

ADDRESS_SECONDS: Final = 300
OPTIONS: Final = {"signature_version": "s3v4", "s3": {"addressing_style": "virtual"}}
"""Of the client: with others it signs addresses of S3's oldest region, from which S3 only leads elsewhere."""
_ABSENT: Final = {"404", "403", "NoSuchKey"}
"""S3 tells only those who may list the bucket that something is not there; the others are refused. Where the refusal
is real, writing is refused too.
"""


class S3Shelf:
    """`client` is a botocore `s3` client with OPTIONS. What lies under a name never changes: the name
    tells the content.
    """

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def has(self, name: str) -> bool:
        try:
            self._client.head_object(Bucket=self._bucket, Key=name)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return False
            raise
        return True

    def put(self, name: str, content: bytes, *, file_name: str) -> None:
        self._client.put_object(
            Bucket=self._bucket,
            Key=name,
            Body=content,
            ContentType="application/pdf",
            ContentDisposition=f'inline; filename="{file_name}"',
            CacheControl="private, no-store",
        )

    def address(self, name: str) -> str:
        """Valid for five minutes, to whoever has it."""
        address: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": name}, ExpiresIn=ADDRESS_SECONDS
        )
        return address
