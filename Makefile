# Muster's one build graph. `make help` lists the targets.
#
# Everything built lands in build/MODE/ (MODE = release, debug, asan, tsan, cov, fuzz). A directory's
# sources are all its *.c; a new file needs no line here.

SHELL := /bin/bash
MODE ?= release
B := build/$(MODE)
GEN := build/gen
VERSION := 0.1.0
.DEFAULT_GOAL := all
.SUFFIXES:
.DELETE_ON_ERROR:
.SECONDARY:
Q := $(if $(V),,@)

# ---- packages ----------------------------------------------------------------------------------
BUILD_PACKAGES := pkg-config libopenmpi-dev openmpi-bin libpmix-dev libhwloc-dev libuv1-dev \
    libsqlite3-dev libwebsockets-dev libwebsockets-evlib-uv libssl-dev libprotobuf-c-dev \
    protobuf-c-compiler protobuf-compiler libjansson-dev libfyaml-dev libcurl4-openssl-dev \
    libopenblas-dev libdnnl-dev uthash-dev libbsd-dev zlib1g-dev
DEMO_PACKAGES := dataset-fashion-mnist
TEST_PACKAGES := libcmocka-dev spin python3 python3-venv perl clang clang-format clang-tidy libclang-rt-14-dev sqlite3 procps
packages_missing = $(shell dpkg-query -W -f='$${Package} $${Status}\n' $(1) 2>/dev/null | \
    awk '/ok installed/ {print $$1}' | sort > /dev/null; for p in $(1); do \
    dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done)

# ---- flags -------------------------------------------------------------------------------------
CC := gcc
WARN := -Wall -Wextra -Wconversion -Wshadow -Wswitch-enum -Werror
CPPFLAGS := -I. -I$(GEN) -D_GNU_SOURCE -DMUSTER_VERSION='"$(VERSION)"'
CFLAGS_release := -O2 -g
CFLAGS_debug := -O0 -g3
CFLAGS_asan := -O1 -g3 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -g3 -fsanitize=thread
CFLAGS_cov := -O0 -g3 --coverage
CFLAGS_planted := -O2 -g
CFLAGS_fuzz := -O1 -g3 -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
    -fno-omit-frame-pointer
ifeq ($(MODE),fuzz) # gcc judges the warnings
CC := clang
WARN := -w
endif
CPPFLAGS_planted := -DMUSTER_PLANTED
CPPFLAGS += $(CPPFLAGS_$(MODE))
CFLAGS = -std=gnu17 $(WARN) $(CFLAGS_$(MODE)) -fPIC -fvisibility=hidden -pthread
LDFLAGS = $(CFLAGS_$(MODE)) -pthread -Wl,--as-needed

MULTIARCH := $(shell $(CC) -dumpmachine)
PMIX_DIR := /usr/lib/$(MULTIARCH)/pmix2
PMIX_CFLAGS := -isystem $(PMIX_DIR)/include
PMIX_LIBS := -L$(PMIX_DIR)/lib -lpmix
MPI_CFLAGS = $(patsubst -I%,-isystem %,$(shell pkg-config --cflags-only-I ompi-c 2>/dev/null))
MPI_LIBS = $(shell pkg-config --libs ompi-c 2>/dev/null)
BLAS_LIBS := -lopenblas

# ---- parts -------------------------------------------------------------------------------------
# A part is a directory that becomes a static library; its main*.c stays out of it.
PARTS := common proto scheduler/core scheduler/shell agent/core agent/host agent/inventory agent/shell agent/shepherd \
    simulate schedctl kernels
part_lib = $(B)/lib$(subst /,_,$(1)).a
part_src = $(filter-out $(1)/main.c $(1)/plugin_%.c,$(wildcard $(1)/*.c))
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

$(foreach p,$(PARTS),$(eval $(call part_lib,$(p)): $(call obj,$(call part_src,$(p)))))
$(call part_lib,proto): $(B)/obj/gen/muster.pb-c.o

$(B)/lib%.a:
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

L_common := $(call part_lib,common)
L_proto := $(call part_lib,proto)
L_score := $(call part_lib,scheduler/core)
L_sshell := $(call part_lib,scheduler/shell)
L_acore := $(call part_lib,agent/core)
L_host := $(call part_lib,agent/host)
L_inventory := $(call part_lib,agent/inventory)
L_ashell := $(call part_lib,agent/shell)
L_shep := $(call part_lib,agent/shepherd)
L_simulate := $(call part_lib,simulate)
L_ctl := $(call part_lib,schedctl)
L_ml := $(call part_lib,kernels)

LIBS_scheduler := -lwebsockets -luv -lsqlite3 -lprotobuf-c -ljansson -lcrypto -ldl -lm
LIBS_agent := -lz -lwebsockets -luv -lhwloc -lprotobuf-c -lcrypto -ldl
LIBS_shepherd := -luv -lprotobuf-c -ljansson -ldl
LIBS_simulate := -lz -lm
LIBS_schedctl := -lcurl -ljansson -lfyaml $(LIBS_simulate)
LIBS_ml = $(MPI_LIBS) -ldnnl -lgomp $(BLAS_LIBS) -ljansson -lz -lm

PROGRAMS := muster-scheduler muster-agent muster-shepherd muster-pmix.so schedctl muster-ml muster-report
all: $(addprefix $(B)/,$(PROGRAMS)) ## build everything (MODE=release)

link = $(Q)echo "  LINK $@"; $(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(filter %.a,$^) $(1)

$(B)/muster-scheduler: $(B)/obj/scheduler/shell/main.o $(L_sshell) $(L_score) $(L_proto) $(L_common)
	$(call link,$(LIBS_scheduler))
$(B)/muster-agent: $(B)/obj/agent/shell/main.o $(L_ashell) $(L_acore) $(L_host) $(L_inventory) $(L_proto) $(L_common)
	$(call link,$(LIBS_agent))
$(B)/muster-shepherd: $(B)/obj/agent/shepherd/main.o $(L_shep) $(L_acore) $(L_host) $(L_proto) $(L_common)
	$(call link,$(LIBS_shepherd))
$(B)/muster-pmix.so: $(B)/obj/agent/shepherd/plugin_pmix.o $(L_common)
	$(Q)echo "  LINK $@"; $(CC) $(LDFLAGS) -shared -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PMIX_LIBS) -lhwloc
$(B)/muster-report: $(B)/obj/agent/report/main.o $(L_common)
	$(call link)
$(B)/schedctl: $(B)/obj/schedctl/main.o $(L_ctl) $(L_simulate) $(L_score) $(L_common)
	$(call link,$(LIBS_schedctl))
$(B)/muster-ml: $(B)/obj/kernels/main.o $(L_ml) $(L_common)
	$(call link,$(LIBS_ml))

# Loops become vectors (kernels/wide.h), the same bits with every width.
CFLAGS_kernels_release := -O3
$(B)/obj/kernels/%.o: CFLAGS += $(CFLAGS_kernels_$(MODE)) -ffp-contract=off -fno-math-errno -fno-trapping-math
$(B)/obj/kernels/%.o: CPPFLAGS += $(MPI_CFLAGS)
$(B)/obj/tests/unit/ml_%.o: CPPFLAGS += $(MPI_CFLAGS)
$(B)/obj/agent/shepherd/plugin_%.o: CPPFLAGS += $(PMIX_CFLAGS)
$(B)/obj/agent/shepherd/plugin_%.o: CFLAGS += -fvisibility=default

$(B)/obj/%.o: %.c | $(GEN)/proto/muster.pb-c.h
	@mkdir -p $(@D)
	$(Q)echo "  CC   $<"; $(CC) $(CPPFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<
$(B)/obj/gen/muster.pb-c.o: $(GEN)/proto/muster.pb-c.c
	@mkdir -p $(@D)
	$(Q)$(CC) -I$(GEN) -std=gnu17 $(CFLAGS_$(MODE)) -fPIC -w -MMD -MP -c -o $@ $<
$(GEN)/proto/muster.pb-c.c $(GEN)/proto/muster.pb-c.h &: proto/muster.proto
	@mkdir -p $(GEN)/proto
	$(Q)protoc-c --c_out=$(GEN) proto/muster.proto

-include $(shell find build/$(MODE)/obj -name '*.d' 2>/dev/null)

# ---- tests -------------------------------------------------------------------------------------
# tests/unit/AREA_NAME.c is one cmocka program, linked with the libraries of its area.
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*_*.c))
AREA_common := $(L_common)
AREA_proto := $(L_proto) $(L_common)
AREA_core := $(L_score) $(L_common)
AREA_store := $(L_sshell) $(L_score) $(L_proto) $(L_common)
AREA_scheduler := $(L_sshell) $(L_score) $(L_proto) $(L_common)
AREA_acore := $(L_acore) $(L_proto) $(L_common)
AREA_agent := $(L_ashell) $(L_acore) $(L_host) $(L_inventory) $(L_proto) $(L_common)
AREA_host := $(L_host) $(L_common)
AREA_inventory := $(L_inventory) $(L_common)
AREA_shepherd := $(L_shep) $(L_acore) $(L_host) $(L_proto) $(L_common)
AREA_simulate := $(L_simulate) $(L_score) $(L_common)
AREA_schedctl := $(L_ctl) $(L_simulate) $(L_score) $(L_common)
AREA_ml := $(L_ml) $(L_common)
AREALIBS_proto := -lprotobuf-c
AREALIBS_store := $(LIBS_scheduler)
AREALIBS_scheduler := $(LIBS_scheduler)
AREALIBS_acore := -lprotobuf-c -ljansson
AREALIBS_agent := $(LIBS_agent)
AREALIBS_shepherd := $(LIBS_shepherd)
AREALIBS_inventory := -lhwloc -ldl
AREALIBS_simulate := $(LIBS_simulate)
AREALIBS_schedctl := $(LIBS_schedctl)
AREALIBS_ml = $(LIBS_ml)
area = $(firstword $(subst _, ,$(1)))
define unit_rule
$(B)/tests/$(1): $(B)/obj/tests/unit/$(1).o $(AREA_$(call area,$(1)))
	@mkdir -p $$(@D)
	$$(call link,$$(AREALIBS_$(call area,$(1))) -lcmocka -lm)
endef
$(foreach t,$(UNIT),$(eval $(call unit_rule,$(t))))

# tests/fuzz/fuzz_NAME.c: with libFuzzer as build/fuzz/fuzz_NAME, over the kept corpus as
# build/MODE/tests/fuzz_NAME.
FUZZ := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_LIBS := $(L_ctl) $(L_simulate) $(L_sshell) $(L_score) $(L_acore) $(L_proto) $(L_common)
FUZZ_LINK := $(LIBS_scheduler) $(LIBS_schedctl) -lcmocka
$(B)/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(FUZZ_LIBS)
	$(call link,-fsanitize=fuzzer $(FUZZ_LINK))
$(B)/tests/fuzz_%: $(B)/obj/tests/fuzz/fuzz_%.o $(B)/obj/tests/fuzz/replay.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(call link,$(FUZZ_LINK))

# tests/sim: whole simulated clusters around the production cores and batches. MODE=planted is the
# same with faults planted in it, for the proof that they are found.
SIM := $(patsubst %.c,$(B)/obj/%.o,$(wildcard tests/sim/*.c))
$(B)/tests/sim: $(SIM) $(L_sshell) $(L_score) $(L_acore) $(L_proto) $(L_common)
	@mkdir -p $(@D)
	$(call link,-lprotobuf-c -ljansson)
unit-programs: $(addprefix $(B)/tests/,$(UNIT) $(FUZZ))

.PHONY: all deps deps-test unit-programs check check-unit check-system check-long lint bench asan \
    tsan fuzz sim sim-planted demo demo-failure install help clean tests-built
PROVE := prove --timer --failures --comments -j2
TAP := CMOCKA_MESSAGE_OUTPUT=TAP

check: deps-test ## install what tests need, run them all
	$(Q)$(MAKE) --no-print-directory tests-built
	$(Q)$(TAP) tests/run-tests.py tests/model/run.py tests/sim/check.py \
	  $(patsubst %,build/debug/tests/%,$(UNIT) $(FUZZ)) $(wildcard tests/system/[0-9]*.py tests/trace/[0-9]*.py)
tests-built:
	$(Q)$(MAKE) --no-print-directory -j2 MODE=release all build/release/tests/sim
	$(Q)$(MAKE) --no-print-directory -j2 MODE=debug all unit-programs build/debug/tests/sim
check-unit: deps-test ## the unit tests alone (MODE=debug, asan, tsan)
	$(Q)$(MAKE) --no-print-directory -j2 all unit-programs
	$(Q)$(TAP) tests/run-tests.py $(patsubst %,$(B)/tests/%,$(UNIT) $(FUZZ))
check-long: deps-test ## the slow proofs: every crash point, the whole model, 20,000 simulated clusters
	$(Q)$(MAKE) --no-print-directory tests-built
	$(Q)CRASH_STEP=1 TEST_TIMEOUT=1800 tests/run-tests.py tests/system/45-crash.py \
	  $(wildcard tests/long/[0-9]*.py)
	$(Q)OPENB_SEEDS=10 TEST_TIMEOUT=1800 tests/run-tests.py tests/trace/30-fgd.py
	$(Q)MODEL=full TEST_TIMEOUT=7200 tests/run-tests.py tests/model/run.py
	$(Q)SEEDS=$${SEEDS:-1-20000} $(MAKE) --no-print-directory sim
	$(Q)$(MAKE) --no-print-directory sim-planted
asan: ## the unit tests under AddressSanitizer and UBSan
	$(Q)WALK_STEPS=$${WALK_STEPS:-100000} $(MAKE) --no-print-directory MODE=asan check-unit
	$(Q)$(MAKE) --no-print-directory -j2 MODE=release build/release/tests/sim
	$(Q)$(MAKE) --no-print-directory -j2 MODE=asan build/asan/tests/sim
	$(Q)SIM_MODES="asan release" SEEDS=$${SEEDS:-1-200} tests/run-tests.py tests/sim/check.py
tsan: ## unit tests and jobs on a real cluster under ThreadSanitizer
	$(Q)WALK_STEPS=$${WALK_STEPS:-20000} TSAN_OPTIONS=suppressions=$(CURDIR)/tests/tsan.supp \
	  $(MAKE) --no-print-directory MODE=tsan check-unit
	$(Q)rm -f build/tsan/report.*; MODE=tsan TSAN_OPTIONS='atexit_sleep_ms=0 log_path=$(CURDIR)/build/tsan/report' \
	  tests/run-tests.py tests/system/30-jobs.py tests/system/58-report.py
	$(Q)if ls build/tsan/report.* 2>/dev/null; then cat build/tsan/report.*; exit 1; fi
lint: deps-test ## formatting, layers, purity of the cores, banned functions
	$(Q)$(MAKE) --no-print-directory -s MODE=release $(call part_lib_of,release,scheduler/core) \
	  $(call part_lib_of,release,agent/core)
	$(Q)tests/lint/lint.py
part_lib_of = build/$(1)/lib$(subst /,_,$(2)).a
bench: deps-test ## measure; the table is docs/benchmarks.md
	$(Q)$(MAKE) --no-print-directory -j2 MODE=release all
	$(Q)tests/bench/run.py
fuzz: deps-test ## libFuzzer on the decoders, FUZZ_SECONDS=60 each; finds are kept in build/corpus/
	$(Q)$(MAKE) --no-print-directory -j2 MODE=fuzz $(addprefix build/fuzz/,$(FUZZ))
	$(Q)set -e; for t in $(FUZZ); do \
	  mkdir -p build/corpus/$$t; echo "$$t: $${FUZZ_SECONDS:-60} s"; \
	  build/fuzz/$$t -max_total_time=$${FUZZ_SECONDS:-60} -rss_limit_mb=2048 -timeout=10 -print_final_stats=1 \
	    -artifact_prefix=build/corpus/$$t- build/corpus/$$t tests/fuzz/corpus/$${t#fuzz_} >build/corpus/$$t.log 2>&1 || \
	  { tail -40 build/corpus/$$t.log; echo "$$t failed: the input is build/corpus/$$t-*"; exit 1; }; \
	  grep -E 'number_of_executed_units|new_units_added|peak_rss' build/corpus/$$t.log; done
sim: ## simulated clusters, judged: SEEDS=1-2000, VERBOSE=1 tells the whole story
	$(Q)$(MAKE) --no-print-directory -s -j2 MODE=release build/release/tests/sim
	$(Q)build/release/tests/sim --seeds=$${SEEDS:-1-2000} $(if $(VERBOSE),--verbose)
sim-planted: ## every planted fault must be found: SEEDS=1-500 PLANTED=all
	$(Q)$(MAKE) --no-print-directory -s -j2 MODE=planted build/planted/tests/sim
	$(Q)build/planted/tests/sim --seeds=$${SEEDS:-1-500} --planted=$${PLANTED:-all}

clean: ## remove build/
	$(Q)rm -rf build
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

define install_packages
	@missing='$(call packages_missing,$(1))'; if [ -n "$$missing" ]; then \
	  echo "installing with apt: $$missing"; \
	  sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -q >/dev/null && \
	  $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $$missing >/dev/null || \
	  { echo "apt-get failed. Install these packages by hand: $$missing" >&2; exit 1; }; fi
endef
deps: ## install the packages that building and the demo need, only what is missing
	$(call install_packages,$(BUILD_PACKAGES) $(DEMO_PACKAGES))
deps-test: deps
	$(call install_packages,$(TEST_PACKAGES))

# ---- demo and installation ---------------------------------------------------------------------
demo: deps ## a private cluster trains on Fashion-MNIST, and survives the loss of a node
	$(Q)$(MAKE) --no-print-directory -j2 MODE=release all
	$(Q)etc/demo.sh
demo-failure: deps ## a node is lost in the middle of a training, which goes on
	$(Q)$(MAKE) --no-print-directory -j2 MODE=release all
	$(Q)etc/demo.sh failure

# Manual pages from what the programs say of themselves.
MAN := $(addprefix build/man/,schedctl.1 muster-ml.1 muster-report.1 muster-scheduler.8 muster-agent.8)
help_man = $(Q)mkdir -p $(@D); LC_ALL=C COLUMNS=80 $(1) --help | \
    awk -f docs/man.awk -v name=$(basename $(@F)) -v section=$(subst .,,$(suffix $@)) -v version=$(VERSION) >$@
build/man/schedctl.1: build/release/schedctl
	$(Q)mkdir -p $(@D); $< help --man >$@
build/man/muster-ml.1: build/release/muster-ml docs/man.awk
	$(call help_man,$< train)
build/man/muster-report.1: build/release/muster-report docs/man.awk
	$(call help_man,$<)
build/man/%.8: build/release/% docs/man.awk
	$(call help_man,$<)

PREFIX ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
into = $(DESTDIR)$(PREFIX)/$(1)
install: ## install below PREFIX (/usr/local), with manual pages and systemd units
	$(Q)$(MAKE) --no-print-directory -j2 MODE=release all
	$(Q)$(MAKE) --no-print-directory MODE=release $(MAN)
	$(Q)install -d $(call into,bin) $(call into,lib/muster) $(call into,share/muster/python) \
	  $(call into,share/man/man1) $(call into,share/man/man8) $(DESTDIR)$(UNITDIR)
	$(Q)install $(addprefix build/release/,$(filter-out %.so,$(PROGRAMS))) $(call into,bin)
	$(Q)install -m 644 build/release/muster-pmix.so $(call into,lib/muster)
	$(Q)install -m 644 etc/*.yaml $(call into,share/muster)
	$(Q)install -m 644 agent/report/muster_report.py $(call into,share/muster/python)
	$(Q)install -m 644 $(filter %.1,$(MAN)) $(call into,share/man/man1)
	$(Q)install -m 644 $(filter %.8,$(MAN)) $(call into,share/man/man8)
	$(Q)for unit in etc/systemd/*.service; do \
	  sed 's|@PREFIX@|$(PREFIX)|' $$unit >$(DESTDIR)$(UNITDIR)/$${unit##*/}; done
