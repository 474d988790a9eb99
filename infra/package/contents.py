"""What of the third-party code goes into the zip. Everything that is left out is named here, with its reason."""

from __future__ import annotations

import re

AWS_SERVICES = frozenset({"dynamodb", "s3", "ses", "sesv2", "sqs", "ssm"})
"""Whose API descriptions botocore keeps: 15 MB would describe services that nobody here calls."""

TOOLS = frozenset(
    {
        # Chalice's command line, and pip under it: the runtime is chalice/app.py alone.
        "pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel", "packaging", "click", "inquirer",
        "blessed", "jinxed", "wcwidth", "readchar", "editor", "runs", "xmod", "yaml", "_yaml",
        # Stripe's default HTTP client: the gateway brings its own transport.
        "requests", "charset_normalizer", "idna", "certifi",
    }
)  # fmt: skip

LANGUAGES = frozenset(
    "ar bg bn ca cs da de el en es et eu fa fi fil fr ga gl gu he hi hr hu id is it ja kn ko lb lt lv mk ml mr ms"
    " mt nb nl nn no pa pl pt ro root ru sk sl sq sr sv sw ta te th tr uk ur vi zh".split()
)
"""In which amounts and dates are written; a customer's other language reads English, as in Babel's fallback."""

_LEFT_OUT = re.compile(
    r"(^|/)(__pycache__|tests)/"  # Chalice ships no usable bytecode; tests of libraries
    r"|\.(pyc|pyi|pyx|pxd|c|h|rst|md)$"
    r"|(^|/)py\.typed$"
    r"|^[^/]+\.(dist-info|data|egg-info)/"  # metadata for pip; pydantic searches it for plugins at each start
    r"|^bin/|^distutils-precedence\.pth$"
    r"|^boto3/(examples|data/(?!sqs|dynamodb))"
    r"|^aws_lambda_powertools/event_handler/openapi/swagger_ui/"
    r"|^pydantic/v1/"
    r"|^reportlab/(fonts|graphics|platypus)/"
    # No document has a picture: of Pillow only what importing it takes.
    r"|^PIL/(?!(__init__|_version|_binary|_deprecate|_imaging|_typing|_util|ExifTags|Image|ImageMode|TiffTags)\.)"
    r"|^pillow\.libs/lib(avif|brotli|freetype|harfbuzz|lcms2|png16|sharpyuv|webp)"
)
_BOTOCORE_SERVICE = re.compile(r"^botocore/data/([^/]+)/")
_BABEL_LOCALE = re.compile(r"^babel/locale-data/([a-z]+)[^/]*\.dat$")


def ships(name: str) -> bool:
    """Whether the file of this name in Chalice's zip belongs to what Lambda needs."""
    if name.partition("/")[0].removesuffix(".py") in TOOLS or _LEFT_OUT.search(name):
        return False
    if service := _BOTOCORE_SERVICE.match(name):
        return service[1] in AWS_SERVICES
    if locale := _BABEL_LOCALE.match(name):
        return locale[1] in LANGUAGES
    return True
