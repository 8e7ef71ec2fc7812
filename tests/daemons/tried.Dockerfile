# The daemons of one set of recipes with pyinit on top, taken from the image of the repository's own Dockerfile.
ARG PRODUCT=pyinit
ARG DAEMONS=pyinit-daemons:fast
FROM ${PRODUCT} AS product
FROM ${DAEMONS}
COPY --from=product /opt/pyinit /opt/pyinit
RUN ln -s /opt/pyinit/bin/pyinit /usr/local/bin/pyinit
