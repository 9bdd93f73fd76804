# The library with the real game: docker build --tag pearl . && docker run --rm pearl
FROM python:3.11-slim

# The browser, its GL libraries and a font; the script contains the list
COPY pearl_lightning/derk/backends/game/install.py /tmp/install.py
RUN REQUIRE_GAME=1 python /tmp/install.py && rm -r /tmp/install.py /var/lib/apt/lists/*

# torch for the CPU, in the tested versions
COPY . /tmp/source
ARG VERSION=""
RUN SETUPTOOLS_SCM_PRETEND_VERSION="$VERSION" PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu \
    pip install --no-cache-dir --constraint /tmp/source/constraints.txt "/tmp/source[mujoco,video]" \
    && rm -r /tmp/source

RUN useradd --create-home --uid 1000 pearl
USER pearl
WORKDIR /home/pearl
CMD ["pearl", "doctor"]
