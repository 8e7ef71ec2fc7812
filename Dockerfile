# The image that pyinit comes in, and the folder /opt/pyinit that other images copy from it:
#
#   docker build --tag pyinit .
#
#   COPY --from=pyinit /opt/pyinit /opt/pyinit
#   RUN ln -s /opt/pyinit/bin/pyinit /opt/pyinit/bin/pyinitctl /usr/local/bin/
#
# The folder has its own interpreter (Debian's), the libraries that it needs besides glibc, and those modules that pyinit
# imports. It runs in every image with the glibc of Debian 12 or a newer one. docker/image/ says what goes in and why.

FROM debian:bookworm-slim AS build

RUN apt-get update \
 && apt-get install -y --no-install-recommends \
        binutils gcc libc6-dev libcap-dev patchelf python3-dev python3-pip \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /build

# What pyinit depends on, before pyinit itself: a change of the sources does not build it again. python-prctl's source
# goes into the folder, too (its licence asks for it), so it is downloaded as such and built with Debian's setuptools.
COPY docker/image/requirements.txt ./
RUN pip download --no-cache-dir --no-deps --no-build-isolation --no-binary python-prctl \
        --require-hashes --requirement requirements.txt --dest downloads \
 && pip install --no-cache-dir --no-deps --no-build-isolation --no-compile --target site downloads/*

COPY LICENSE NOTICE README.md pyproject.toml ./
COPY launcher launcher
COPY src src
RUN pip install --no-cache-dir --no-deps --no-compile --target site .

COPY docker/image/modules.py docker/image/assemble.py ./
RUN python3.11 -B assemble.py site downloads /opt/pyinit


FROM debian:bookworm-slim

COPY --from=build /opt/pyinit /opt/pyinit
RUN ln -s /opt/pyinit/bin/pyinit /opt/pyinit/bin/pyinitctl /usr/local/bin/

# SIGTERM, the default of STOPSIGNAL, is what pyinit takes as the request to stop; leave it at that.
ENTRYPOINT ["pyinit", "--"]
