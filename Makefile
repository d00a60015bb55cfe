# The usual commands, thin over tools/, Meson and Ninja.
#
#   make            build into build/
#   make demo       set up what is missing, build the command, and show motley at work
#   make test       set up what is missing, then everything that must hold (what .ci/run runs)
#   make check      only the tests, on the usual build
#   make install    PREFIX=/usr/local DESTDIR=
#   make format lint fuzz bench clean
PREFIX ?= /usr/local
DESTDIR ?=
BUILD ?= build

.PHONY: all setup demo test check install format lint fuzz bench clean
all: $(BUILD)/build.ninja
	@flock $(BUILD) ninja -k 0 -C $(BUILD)

$(BUILD)/build.ninja:
	@test -d .deps || tools/setup
	@meson setup $(BUILD) --prefix $(PREFIX)
	@ln -sfn $(BUILD)/compile_commands.json compile_commands.json

setup:
	@tools/setup

demo: setup
	@$(MAKE) --no-print-directory $(BUILD)/build.ninja
	@flock $(BUILD) ninja -C $(BUILD) command
	@tools/demo $(BUILD)/src/motley

test: setup
	@tools/check-all

check: all
	@tools/run-tests $(BUILD)

install: all
	@meson configure $(BUILD) --prefix $(PREFIX)
	@DESTDIR=$(DESTDIR) meson install -C $(BUILD)

format:
	@tools/check-format --fix

lint: all
	@tools/check-format
	@tools/check-layers
	@tools/check-tidy $(BUILD)

fuzz: setup
	@tools/run-fuzz

bench: all
	@tools/bench $(BUILD)

clean:
	rm -rf build build-* compile_commands.json
