# Starling. `make help` lists the targets; a new file in channels/, server/ or tests/ needs no edit here.
.DEFAULT_GOAL := all
SHELL := /bin/bash

BUILD ?= release#  release | debug | asan | tsan; one folder each
OUT   := build/$(BUILD)
ROOT  := build#    the release binary is build/starling
JOBS  ?= $(shell nproc)
Q     := $(if $(V),,@)#  V=1 shows whole commands, -s nothing
SAY    = @$(if $(findstring s,$(firstword -$(MAKEFLAGS))),:,echo)

PKGS := libwebsockets hiredis jansson openssl cjose libcurl zlib yaml-0.1 libsodium
# Asked once, and only when something is compiled: `make run` may have to install pkg-config first.
# libev has no .pc file in Debian.
LIBS      = $(eval LIBS := $$(shell pkg-config --libs $$(PKGS)) -lev -lpthread -lm)$(LIBS)
PKG_FLAGS = $(eval PKG_FLAGS := $$(shell pkg-config --cflags $$(PKGS) | sed 's/-I/-isystem /g'))$(PKG_FLAGS)

WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wconversion -Werror
HARDEN    = -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -U_FORTIFY_SOURCE \
            -D_FORTIFY_SOURCE=3 -fPIE $(INIT_ZERO)
# clang 14 wants an option beside it that later ones do without: asked of the compiler itself.
INIT_ZERO = $(eval INIT_ZERO := $$(shell $$(CC) -Werror -ftrivial-auto-var-init=zero -E -x c /dev/null \
              >/dev/null 2>&1 && echo -ftrivial-auto-var-init=zero))$(INIT_ZERO)
HARDEN_LINK := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code
FLAGS_release  = -O2 $(HARDEN)
FLAGS_debug   := -O0 -DSLOW_CHECKS
FLAGS_asan    := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -DSLOW_CHECKS
FLAGS_tsan    := -O1 -fsanitize=thread -DSLOW_CHECKS
LINK_release  := $(HARDEN_LINK)
LINK_asan     := -fsanitize=address,undefined
LINK_tsan     := -fsanitize=thread
COMPILE = $(CC) -std=c11 -D_GNU_SOURCE -I. -g -fno-omit-frame-pointer -MMD -MP \
          $(WARNINGS) $(FLAGS_$(BUILD)) $(PKG_FLAGS) $(CPPFLAGS) $(CFLAGS)
LINK    = $(CC) $(LINK_$(BUILD)) $(LDFLAGS)

SRC := $(wildcard channels/base/*.c channels/*.c server/*.c)
OBJ := $(SRC:%.c=$(OUT)/%.o)
LIB_OBJ := $(filter-out $(OUT)/server/main.o,$(OBJ)) $(OUT)/web_assets.o $(OUT)/redis_scripts.o

UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(OUT)/tests/%)
# tests/support/fail_alloc.h: memory runs out when a test says so.
LINK_TESTS := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc
SUPPORT_OBJ := $(patsubst %.c,$(OUT)/%.o,$(wildcard tests/support/*.c))

BINARY := $(if $(filter release,$(BUILD)),$(ROOT),$(OUT))/starling

.PHONY: all
all: $(BINARY)          ## the binary: build/starling (BUILD=debug|asan|tsan: build/BUILD/starling)

.PHONY: run
run:                    ## install what building needs, build, run with --dev: the one command on a fresh Debian
	@deploy/install-packages build
	@$(MAKE) --no-print-directory $(PARALLEL) BUILD=release all
	@exec $(ROOT)/starling --dev $(ARGS)

# Parallel unless the caller said how.
PARALLEL = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))

$(OUT)/starling: $(OUT)/server/main.o $(OUT)/libstarling.a
	$(SAY) "  link  $@"
	$(Q)$(LINK) -o $@ $^ $(LIBS)

$(ROOT)/starling: $(OUT)/starling
	@mkdir -p $(@D) && ln -f $< $@

$(OUT)/libstarling.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(OUT)/server/openapi.o: server/openapi.yaml

$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(SAY) "  cc    $@"
	$(Q)$(COMPILE) -c -o $@ $<

# ---- web: the pages, bundled by Node and compiled in (web/README.md) ----
# Without Node, or with WEB=no, one plain page stands in for them.
WEB     ?= $(if $(shell command -v npm),yes,no)
WEB_SRC := $(wildcard web/*.json web/*.mjs web/pages/* web/src/*.* web/src/*/*.*)

# A checkout changes the time of the lock file without changing its content.
web/node_modules/.starling-lock: web/package-lock.json
	@cmp -s $< $@ || { echo "npm ci (web)"; cd web && npm ci --omit=dev --no-audit --no-fund --loglevel=error; }
	@cp $< $@

web/dist/.built: $(WEB_SRC) web/node_modules/.starling-lock
	@cd web && node build.mjs
	@touch $@

ifeq ($(WEB),yes)
$(OUT)/web_assets.c: web/dist/.built web/embed.mjs
	@node web/embed.mjs web/dist $@
else
$(OUT)/web_assets.c: web/fallback.html web/embed_fallback.sh
	@mkdir -p $(@D)
	@sh web/embed_fallback.sh web/fallback.html >$@
endif

$(OUT)/web_assets.o: $(OUT)/web_assets.c server/static.h
	$(SAY) "  cc    $@"
	$(Q)$(COMPILE) -c -o $@ $<

# What only the tests need comes on top, so that the build's stamp stays true.
web/node_modules/.starling-dev: web/package-lock.json web/node_modules/.starling-lock | web/dist/.built
	@cd web && npm ci --no-audit --no-fund --loglevel=error
	@cp $< web/node_modules/.starling-lock
	@cp $< $@

.PHONY: web-check
web-check: web/node_modules/.starling-dev   ## types and unit tests of the pages
	@cd web && npm run -s check && npm test -s
.PHONY: web-browser
web-browser: $(ROOT)/starling ## the pages in Chromium, against the built server
	cd tests/browser && npm ci --no-audit --no-fund --loglevel=error && npm test -s
.PHONY: screenshots
screenshots: $(ROOT)/starling tests/browser/node_modules/.starling-lock   ## every page, light and dark, desktop to phone: build/screenshots
	@cd tests/browser && STARLING=$(abspath $<) npm run -s screenshots
# ---- end of web ----

# ---- redis: the scripts of channels/redis, compiled in ----
REDIS_SCRIPTS := $(filter-out channels/redis/roll.lua,$(wildcard channels/redis/*.lua))

$(OUT)/redis_scripts.c: $(wildcard channels/redis/*)
	@mkdir -p $(@D)
	@sh channels/redis/embed.sh $@ $(REDIS_SCRIPTS)

$(OUT)/redis_scripts.o: $(OUT)/redis_scripts.c channels/redis_scripts.h
	$(SAY) "  cc    $@"
	$(Q)$(COMPILE) -c -o $@ $<
# ---- end of redis ----

# ---- bench: load and floor stand apart: libc, OpenSSL and the helpers in channels/base, nothing of the server ----
BENCH_OBJ := $(patsubst %.c,$(OUT)/%.o,$(filter-out %/load.c %/floor.c %/path.c,$(wildcard tests/bench/*.c)) \
               $(wildcard channels/base/*.c))

$(OUT)/bench/%: $(OUT)/tests/bench/%.o $(BENCH_OBJ)
	@mkdir -p $(@D)
	$(SAY) "  link  $@"
	$(Q)$(LINK) -o $@ $^ -lssl -lcrypto -lm

# The server with another front: what path.c defines of server/lws.h comes first and wins over the archive's.
$(OUT)/bench/path: $(OUT)/tests/bench/path.o $(OUT)/tests/bench/wire.o $(OUT)/tests/support/fail_alloc.o \
                   $(OUT)/libstarling.a
	@mkdir -p $(@D)
	$(SAY) "  link  $@"
	$(Q)$(LINK) $(LINK_TESTS) -Wl,-z,muldefs -o $@ $^ $(LIBS)

.PHONY: bench bench-scale bench-selftest bench-guard bench-instructions
bench: $(OUT)/bench/load $(OUT)/bench/floor all   ## measure against the floor server; BENCH_QUICK=1 for one short round
	@tests/bench/run $(OUT)/bench $(ROOT)/starling

bench-scale: $(OUT)/bench/load all   ## 57,000 connections to three servers: memory, processor time, p99 (minutes)
	@tests/bench/scale $(OUT)/bench $(ROOT)/starling

bench-selftest: $(OUT)/bench/load $(OUT)/bench/floor   ## does the load generator notice what it should
	@tests/bench/selftest $(OUT)/bench

bench-guard: $(OUT)/bench/load all   ## system calls for each delivery, as a test
	@tests/bench/guard $(OUT)/bench $(ROOT)/starling

bench-instructions: $(OUT)/bench/path   ## instructions and allocations for each delivery, as a test
	@tests/bench/instructions $(OUT)/bench
# ---- end of bench ----

# ---- fuzzing: tests/fuzz/fuzz_X.c with its seeds in tests/fuzz/corpus/X ----
FUZZ_SECONDS ?= 30#  for each target
FUZZ_SRC     := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_NAMES   := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)
FLAGS_fuzz   := -O1 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -DSLOW_CHECKS \
                -Wno-string-conversion#  must(!"text") is what marks code that is never reached
LINK_fuzz    := -fsanitize=address,undefined

$(OUT)/libsupport.a: $(SUPPORT_OBJ)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(OUT)/fuzzers/%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/libsupport.a $(OUT)/libstarling.a
	@mkdir -p $(@D)
	$(SAY) "  link  $@"
	$(Q)$(LINK) -fsanitize=fuzzer -o $@ $^ $(LIBS)

$(OUT)/replays/%: $(OUT)/tests/fuzz/fuzz_%.o $(OUT)/tests/fuzz/replay.o $(OUT)/libsupport.a $(OUT)/libstarling.a
	@mkdir -p $(@D)
	$(SAY) "  link  $@"
	$(Q)$(LINK) -o $@ $^ $(LIBS)

.PHONY: fuzz fuzz-run fuzz-replay
fuzz:                   ## run every fuzz target for FUZZ_SECONDS with libFuzzer (clang)
	@$(MAKE) CC=clang BUILD=fuzz OUT=$(OUT)/fuzz fuzz-run

# What is found is kept in build/…/corpus and crashes beside it; a crash that was mended moves to the seeds.
fuzz-run: $(FUZZ_NAMES:%=$(OUT)/fuzzers/%)
	@for name in $(FUZZ_NAMES); do \
	    mkdir -p $(OUT)/corpus/$$name && \
	    $(OUT)/fuzzers/$$name -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 \
	        -artifact_prefix=$(OUT)/$$name- $(OUT)/corpus/$$name tests/fuzz/corpus/$$name || exit 1; \
	done

fuzz-replay: $(FUZZ_NAMES:%=$(OUT)/replays/%)   ## run every fuzz target over its seeds, no libFuzzer needed
	@passed=0; failed=0; \
	for name in $(FUZZ_NAMES); do \
	    if $(OUT)/replays/$$name tests/fuzz/corpus/$$name; then ((++passed)); else ((++failed)); fi; \
	done; \
	echo "fuzz replay: $$passed passed, $$failed failed"; [ $$failed -eq 0 ]
# ---- end of fuzzing ----

# ---- spec: the real binary over sockets, and the client SDK from Node (tests/spec) ----
# SPEC="handshake recovery" runs only the files whose name contains one of the words.
SPEC :=
SPEC_SLOWNESS_asan := 4
SPEC_SLOWNESS_tsan := 6

tests/spec/node_modules/.starling-lock: tests/spec/package-lock.json
	@cmp -s $< $@ || { echo "npm ci (spec)"; cd tests/spec && npm ci --no-audit --no-fund --loglevel=error; }
	@cp $< $@

.PHONY: spec spec-check
spec: $(OUT)/starling tests/spec/node_modules/.starling-lock   ## specifications against the binary of this BUILD (SPEC=words)
	@node tests/spec/build.mjs $(OUT)/spec
	@STARLING_BINARY=$(abspath $(OUT)/starling) STARLING_SPEC_SLOWNESS=$(or $(SPEC_SLOWNESS_$(BUILD)),1) \
	    TSAN_OPTIONS=suppressions=$(abspath tests/spec/tsan.supp):print_suppressions=0 \
	    node tests/spec/run.mjs $(OUT)/spec $(SPEC)

spec-check: tests/spec/node_modules/.starling-lock   ## types of the specifications
	@cd tests/spec && npm run -s check && echo "types of the specifications: 1 passed, 0 failed"
# ---- end of spec ----

# ---- tests: each part is a target; tests/support/run_parts runs them and adds up what passed ----
# Sanitizer builds run the parts that execute the server's own code.
TEST_PARTS := unit fuzz-replay spec
ifeq ($(BUILD),release)
TEST_PARTS += spec-check web-check browser bench-selftest bench-guard bench-instructions \
              hardening first-minute lint
endif

.PHONY: test test-programs
test:                   ## install what testing needs, run everything, count (BUILD=asan|tsan: units and specs)
	@deploy/install-packages build test
	+@tests/support/run_parts $(OUT)/test $(JOBS) $(TEST_PARTS)

test-programs: $(UNIT_BIN) $(FUZZ_NAMES:%=$(OUT)/replays/%) $(OUT)/bench/load $(OUT)/bench/floor $(OUT)/bench/path

$(OUT)/tests/%: $(OUT)/tests/unit/%.o $(SUPPORT_OBJ) $(OUT)/libstarling.a
	@mkdir -p $(@D)
	$(SAY) "  link  $@"
	$(Q)$(LINK) $(LINK_TESTS) -o $@ $^ $(LIBS) -lcmocka

.PHONY: unit hardening first-minute browser
unit: $(UNIT_BIN)       ## build and run the C unit tests (BUILD=asan|tsan for the sanitizers)
	@tests/support/run_units $^

hardening: $(ROOT)/starling   ## read the hardening off the release binary
	@tests/support/check_hardening $<

first-minute: $(BINARY)       ## start the server as a newcomer does, look at it, stop it
	@tests/support/first_minute $<

# A checkout changes the time of the lock file without changing its content.
tests/browser/node_modules/.starling-lock: tests/browser/package-lock.json
	@cmp -s $< $@ || { echo "npm ci (tests/browser)"; cd tests/browser && npm ci --loglevel=error; }
	@cp $< $@

browser: $(ROOT)/starling tests/browser/node_modules/.starling-lock   ## the pages in Chromium
	@cd tests/browser && STARLING=$(abspath $<) npm test -s

.PHONY: lint tidy matrix
lint:                   ## include directions, banned calls, format, static analysis
	@tests/support/lint

tidy:                   ## clang-tidy over all sources (minutes)
	@clang-tidy --quiet $(SRC) -- -std=c11 -D_GNU_SOURCE -I. $(PKG_FLAGS)

matrix:                 ## compile everything with gcc and with clang
	@for cc in gcc clang; do \
	    $(MAKE) --no-print-directory $(PARALLEL) CC=$$cc OUT=$(ROOT)/matrix/$$cc ROOT=$(ROOT)/matrix/$$cc/bin \
	        all test-programs && echo "matrix: $$cc passes" || exit 1; \
	done
# ---- end of tests ----

# ---- install ----
PREFIX  ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system

.PHONY: install clean help
install: all            ## install binary, systemd unit and example configuration (PREFIX, DESTDIR)
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/starling
	install -D -m 644 deploy/starling.example.yaml $(DESTDIR)$(PREFIX)/share/doc/starling/starling.example.yaml
	install -D -m 644 deploy/starling.example.json $(DESTDIR)$(PREFIX)/share/doc/starling/starling.example.json
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/lib/sysusers.d
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' deploy/starling.service >$(DESTDIR)$(UNITDIR)/starling.service
	install -m 644 deploy/starling.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/starling.conf

clean:                  ## remove what was built
	rm -rf build web/dist

help:                   ## this list
	@awk -F ':.*## *' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

-include $(shell find build -name '*.d' 2>/dev/null)
.SECONDARY:
