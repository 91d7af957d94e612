# spx: one static binary. `make help` lists what can be made.

PREFIX  ?= /usr/local
UNITS    = $(PREFIX)/lib/systemd/system
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
BUILT   := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y Makefile))
BEARSSL := $(shell dpkg-query -W -f '$${Version}' libbearssl-dev 2>/dev/null || echo 0.6)

WARN    := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
           -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wswitch-enum \
           -Wno-missing-field-initializers
CFLAGS  := -std=c11 -D_GNU_SOURCE -g -Os -fstack-protector-strong -Imodules $(WARN) -MMD -MP

# The product: musl, static, position independent. The libraries' headers come by links, which keeps
# glibc's out.
R       := build/release
# Variables without a value are zeros: nothing left on the stack can reach a peer. The tests' build
# goes without, since valgrind and the sanitizers must see such a fault.
ZEROED  := -ftrivial-auto-var-init=zero
RFLAGS  := $(CFLAGS) -isystem build/include -U_FORTIFY_SOURCE -ffunction-sections -fdata-sections -fPIE \
           -fno-asynchronous-unwind-tables -fno-unwind-tables $(ZEROED)
MUSL    := /usr/lib/$(shell uname -m)-linux-musl
GCCFILE  = $(shell gcc -print-file-name=$(1))
LIBRARIES := $(call GCCFILE,libbearssl.a) $(call GCCFILE,libcares.a) $(call GCCFILE,libhttp_parser.a)

# The tests' build: glibc; with SAN=1 under the address and undefined behaviour sanitizers, with
# SAN=thread under the thread sanitizer.
ifeq ($(SAN),thread)
  T      := build/tsan
  SANITIZE := -fsanitize=thread -fno-omit-frame-pointer
  TESTED := $(T)/spx
else ifdef SAN
  T      := build/san
  SANITIZE := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
  TESTED := $(T)/spx
else
  T      := build/test
  TESTED := ./spx
endif

# The applets, as the table in spx.c has them, and those that are services.
APPLETS  = $(shell sed -n 's/^ *{"\([a-z]*\)", [a-z]*_main, .*/\1/p' spx.c)
SERVICES = $(patsubst docs/%,%,$(wildcard docs/spx-*.service))

MODULES := $(sort $(wildcard modules/*/*.c))
PLAIN   := $(filter-out modules/compat/%,$(MODULES))
ROBJ    := $(MODULES:%.c=$(R)/%.o) $(R)/spx.o
TOBJ    := $(PLAIN:%.c=$(T)/%.o)
UNIT    := $(patsubst %.c,$(T)/%,$(sort $(wildcard tests/unit/test_*.c)))
SUPPORT := $(patsubst %.c,$(T)/%.o,$(filter-out tests/unit/test_%,$(wildcard tests/unit/*.c)))

# The simulations: programs with a main, and what they share.
SIMS    := $(patsubst %,$(T)/tests/sim/%,flow interleave sim)
SIMOBJ  := $(filter-out $(SIMS:=.o),$(patsubst %.c,$(T)/%.o,$(wildcard tests/sim/*.c))) \
           $(T)/tests/unit/session_walk.o

# The whole program on simulated machines: these calls of it are replaced by tests/machine/calls.c.
MACHINE := $(patsubst %.c,$(T)/%.o,$(wildcard tests/machine/*.c)) \
           $(patsubst %,$(T)/tests/sim/%.o,pipe seeds timeline)
CALLS   := accept4 bind clock_gettime close connect epoll_create1 epoll_ctl epoll_wait eventfd \
           eventfd_read eventfd_write fcntl fopen getpeername getrandom getrlimit getsockname getsockopt guard_enter \
           ioctl listen pipe2 poll pthread_create pthread_join pthread_setname_np \
           pthread_setschedparam pthread_sigmask read readv recv recvfrom send setrlimit setsockopt shutdown \
           signalfd socket splice stat timerfd_create timerfd_settime write
PROGRAMS := $(T)/tests/machine/programs
# The thread sanitizer does not follow the simulation's change of stacks, and nothing is parallel there.
WITHOUT_THREADS := $(if $(filter thread,$(SAN)),,$(PROGRAMS))

# The benchmark's programs: what measures must be quick, and is built as the product is not.
B       := build/bench
BENCH   := $(patsubst tests/bench/%.c,$(B)/%,$(sort $(wildcard tests/bench/*.c)))

# The fuzz targets: clang's libFuzzer.
F       := build/fuzz
FOBJ    := $(PLAIN:%.c=$(F)/%.o)
FUZZ    := $(patsubst tests/fuzz/%.c,$(F)/%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FFLAGS  := -std=c11 -D_GNU_SOURCE -g -O1 -fno-omit-frame-pointer -Imodules -Itests/unit -MMD -MP \
           -fsanitize=address,undefined -fno-sanitize-recover=undefined

PACKAGES := gcc libc6-dev make musl-tools libbearssl-dev libc-ares-dev libhttp-parser-dev
TEST_PACKAGES := $(PACKAGES) git libcmocka-dev libsodium-dev python3-pytest python3-dissononce python3-cryptography \
           curl openssh-client openssh-server rsync wireguard-tools valgrind postgresql iproute2 bind9-dnsutils dnsmasq-base \
           faketime iperf3 snmp snmpd python3-socks zsh fish chromium chromium-driver python3-selenium
BENCH_PACKAGES := $(PACKAGES) python3 openssl iproute2 iperf3 haproxy stunnel4 spiped openssh-client openssh-server \
           dropbear-bin
LINT_PACKAGES := clang-format clang-tidy cppcheck shellcheck mandoc
FUZZ_PACKAGES := $(PACKAGES) clang

ifeq ($(V),)
  Q := @
endif
say = @printf '  %-7s %s\n' $(1) '$(2)'

.DELETE_ON_ERROR:
.PHONY: all help deps test-deps bench-deps lint-deps fuzz-deps applets demo test unit sim machines e2e test-mixed mixed \
        soak bench fuzz fuzz-targets lint format install uninstall clean

#: make                build ./spx, one static binary
all: spx

#: make help           this list
help:
	@sed -n 's/^#: //p' Makefile

spx: $(ROBJ)
	$(call say,LINK,$@)
	$(Q)gcc -nostdlib -static-pie -o $(R)/spx.full -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,noexecstack \
	  $(MUSL)/rcrt1.o $(MUSL)/crti.o $(call GCCFILE,crtbeginS.o) $(ROBJ) $(LIBRARIES) $(MUSL)/libc.a \
	  $(call GCCFILE,libgcc.a) $(call GCCFILE,crtendS.o) $(MUSL)/crtn.o
	$(Q)strip -o $@ $(R)/spx.full
	@printf '  %-7s %s bytes\n' SIZE "$$(stat -c %s $@)"

HEADERS := build/include/bearssl.h build/include/ares.h build/include/http_parser.h
build/include/%.h: /usr/include/%.h
	@mkdir -p $(@D)
	$(Q)ln -sf /usr/include/$**.h $(@D)/

$(R)/%.o: %.c | $(HEADERS)
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)musl-gcc $(RFLAGS) $(DEFINES) -c -o $@ $<

$(T)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$< ($(T)))
	$(Q)gcc $(CFLAGS) -Itests/unit -Itests/sim $(SANITIZE) $(DEFINES) -c -o $@ $<

# The page's files are in the object.
PAGES := $(foreach d,$(R) $(T) $(F),$(d)/modules/web/page.o)
$(PAGES): $(wildcard modules/web/page/*)

# The commit and its date are in one object each, made anew when they change.
$(R)/spx.o $(T)/spx.o: DEFINES = -DSPX_COMMIT='"$(COMMIT)"' -DSPX_BEARSSL='"$(BEARSSL)"' \
  -DSPX_COMPILER='"gcc $(shell gcc -dumpfullversion)"'
VERSIONS := $(foreach d,$(R) $(T) $(F),$(d)/modules/base/version.o)
$(VERSIONS): DEFINES = -DSPX_BUILT=$(BUILT)
$(R)/spx.o $(T)/spx.o $(VERSIONS): build/commit-$(COMMIT)-$(BUILT)
build/commit-$(COMMIT)-$(BUILT):
	@mkdir -p build && rm -f build/commit-* && touch $@

$(T)/libspx.a: $(TOBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && ar rcs $@ $(TOBJ)

$(T)/spx: $(T)/spx.o $(T)/libspx.a
	$(call say,LINK,$@)
	$(Q)gcc $(SANITIZE) -o $@ $^ $(LIBRARIES) -lpthread

$(T)/tests/unit/test_%: $(T)/tests/unit/test_%.o $(SUPPORT) $(T)/libspx.a
	$(call say,LINK,$@)
	$(Q)gcc $(SANITIZE) -o $@ $^ -lcmocka $(LIBRARIES) -lpthread

$(SIMS): $(T)/tests/sim/%: $(T)/tests/sim/%.o $(SIMOBJ) $(T)/libspx.a
	$(call say,LINK,$@)
	$(Q)gcc $(SANITIZE) -o $@ $^ $(LIBRARIES) -lpthread

$(PROGRAMS): $(MACHINE) $(T)/libspx.a
	$(call say,LINK,$@)
	$(Q)gcc $(SANITIZE) $(CALLS:%=-Wl,--wrap=%) -o $@ $^ $(LIBRARIES) -lsodium -lpthread

$(B)/%: tests/bench/%.c $(T)/libspx.a
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)gcc $(CFLAGS) -O2 -o $@ $< $(T)/libspx.a $(LIBRARIES) -lpthread

.PRECIOUS: $(T)/%.o $(F)/modules/%.o

$(F)/modules/%.o: modules/%.c
	@mkdir -p $(@D)
	$(call say,CC,$< ($(F)))
	$(Q)clang $(FFLAGS) $(DEFINES) -fsanitize=fuzzer-no-link -c -o $@ $<

$(F)/fuzz_%: tests/fuzz/fuzz_%.c $(FOBJ)
	$(call say,LINK,$@)
	$(Q)clang $(FFLAGS) -fsanitize=fuzzer -o $@ $< $(FOBJ) $(LIBRARIES) -lpthread

#: make deps           install what building takes (Debian)
deps:
	@tests/install.sh $(PACKAGES)
test-deps:
	@tests/install.sh $(TEST_PACKAGES)
bench-deps:
	@tests/bench/install.sh $(BENCH_PACKAGES)
lint-deps:
	@tests/install.sh $(TEST_PACKAGES) $(LINT_PACKAGES)
fuzz-deps:
	@tests/install.sh $(FUZZ_PACKAGES)

#: make demo           install, build, and show relay, agent, client and a real service at work
demo:
	@tests/install.sh $(PACKAGES) git curl python3
	@$(MAKE) --no-print-directory spx
	@tests/demo.sh

#: make test           install, build, and run every test (SAN=1: under the sanitizers)
test: test-deps
	@$(MAKE) --no-print-directory --keep-going unit e2e

#: make unit           the unit tests and short simulations alone
unit: $(UNIT) $(SIMS) $(WITHOUT_THREADS)
	@tests/run_unit.sh $(UNIT) $(SIMS) $(WITHOUT_THREADS)

#: make sim            simulate SEEDS (100000) worlds in which links break, from seed FIRST (1) on
SEEDS ?= 100000
FIRST ?= 1
sim: $(T)/tests/sim/sim
	@$< $(SEEDS) $(FIRST)

#: make machines       the same with the whole program, on simulated machines that fail as well
machines: $(PROGRAMS)
	@$< $(SEEDS) $(FIRST)

#: make e2e            the end-to-end tests alone (ARGS='-k name' for some of them)
e2e: spx $(T)/spx
	SPX=$(TESTED) SPX_GLIBC=$(T)/spx /usr/bin/python3 -m pytest -q tests/e2e $(ARGS)

#: make test-mixed     each role of the release before with today's others (ARGS as for e2e)
OLD := build/mixed/$(shell cat tests/mixed/RELEASE)/spx
test-mixed: test-deps
	@$(MAKE) --no-print-directory mixed
mixed: spx $(OLD)
	SPX=$(TESTED) SPX_OLD=$(OLD) /usr/bin/python3 -m pytest -q tests/mixed $(ARGS)
$(OLD):
	$(call say,OLD,$@)
	$(Q)+tests/mixed/build.sh

#: make soak           the end-to-end tests that take minutes (SEED=n: random numbers of a failed one)
soak: test-deps
	@$(MAKE) --no-print-directory e2e ARGS='-m soak $(ARGS)'

#: make bench          measure spx beside its peers: tests/bench/RESULTS.md (ROWS="spx stunnel": only these; PARTS="bulk")
bench: bench-deps
	@$(MAKE) --no-print-directory spx $(BENCH)
	@/usr/bin/python3 tests/bench/bench.py --rows '$(ROWS)' --parts '$(PARTS)' $(ARGS)

#: make fuzz           run every fuzz target for SECONDS (60) each, with clang
SECONDS ?= 60
fuzz: fuzz-deps
	@tests/fuzz/run.sh $(SECONDS)
fuzz-targets: $(FUZZ)

#: make lint           the format, checkers of C, scripts and manual pages, and the rules of the sources
lint: lint-deps
	@tests/lint.sh

#: make format         format the sources
format:
	clang-format -i spx.c modules/*/*.[ch] tests/*/*.[ch]

applets:
	@echo $(APPLETS)

#: make install        into PREFIX (/usr/local) under DESTDIR, with a link spx-APPLET for each applet
SHARE    = $(DESTDIR)$(PREFIX)/share
# Where the shells look for completions: bash and fish for a file of the command's name.
BASH     = $(SHARE)/bash-completion/completions/
FISH     = $(SHARE)/fish/vendor_completions.d/
ZSH      = $(SHARE)/zsh/site-functions/
EXAMPLES = $(SHARE)/doc/spx/examples
install: spx
	install -d '$(DESTDIR)$(PREFIX)/bin' '$(SHARE)/man/man1' '$(SHARE)/man/man5' '$(DESTDIR)$(UNITS)' \
	  '$(BASH)' '$(FISH)' '$(ZSH)' '$(EXAMPLES)' '$(DESTDIR)$(PREFIX)/lib/sysusers.d' \
	  '$(DESTDIR)$(PREFIX)/lib/tmpfiles.d'
	install -m 755 spx '$(DESTDIR)$(PREFIX)/bin/spx'
	install -m 644 share/completion.bash '$(BASH)spx'
	install -m 644 share/completion.fish '$(FISH)spx.fish'
	install -m 644 share/completion.zsh '$(ZSH)_spx'
	for a in $(APPLETS); do ln -sf spx '$(DESTDIR)$(PREFIX)/bin/spx-'$$a; \
	  ln -sf spx '$(BASH)spx-'$$a; ln -sf spx.fish '$(FISH)spx-'$$a.fish; done
	install -m 644 docs/*.1 '$(SHARE)/man/man1/'
	install -m 644 docs/*.5 '$(SHARE)/man/man5/'
	install -m 644 share/relay.conf share/agent.conf share/client.conf '$(EXAMPLES)/'
	for s in $(SERVICES); do \
	  sed 's|^\(Exec[A-Za-z]*=\)/usr/local/bin/spx |\1"$(PREFIX)/bin/spx" |' docs/$$s | \
	    install -m 644 /dev/stdin '$(DESTDIR)$(UNITS)/'$$s; done
	for d in sysusers tmpfiles; do \
	  install -m 644 share/$$d.conf '$(DESTDIR)$(PREFIX)/lib/'$$d.d/spx.conf; done

#: make uninstall      remove that, with the same PREFIX and DESTDIR
uninstall:
	for a in spx $(APPLETS:%=spx-%); do rm -f '$(DESTDIR)$(PREFIX)/bin/'$$a '$(BASH)'$$a '$(FISH)'$$a.fish; done
	rm -f '$(ZSH)_spx'
	for m in docs/*.1 docs/*.5; do rm -f '$(SHARE)/man/man'$${m##*.}/$${m##*/}; done
	rm -rf '$(SHARE)/doc/spx'
	for s in $(SERVICES); do rm -f '$(DESTDIR)$(UNITS)/'$$s; done
	for d in sysusers tmpfiles; do rm -f '$(DESTDIR)$(PREFIX)/lib/'$$d.d/spx.conf; done

#: make clean          remove what was built
clean:
	rm -rf build spx

-include $(ROBJ:.o=.d) $(TOBJ:.o=.d) $(UNIT:=.d) $(SIMS:=.d) $(SIMOBJ:.o=.d) $(MACHINE:.o=.d) $(SUPPORT:.o=.d) $(T)/spx.d $(FOBJ:.o=.d) $(FUZZ:=.d)
