# ngx_oa: nginx modules for *.openagents.example.  "make help" says what there
# is to make.
#
#   make build                      against Debian's nginx (nginx-dev)
#   make build NGX_SRC=~/nginx      against a source tree, e.g. mainline
#   make build CC=clang             with another compiler
#   make test                       all flavours: $(FLAVOURS)
#   make test SANITIZE=1            one of them; also FLAVOUR=nginx-1.26
#   make test TESTS='t/harness*.t'  some of the files

# A flavour is one nginx, built or found, with the modules that fit it, in
# build/FLAVOUR.

FLAVOURS = debian nginx-1.26 sanitize

release := $(shell . /etc/os-release && echo $$VERSION_CODENAME)

tree_debian     = /usr/share/nginx/src
tree_nginx-1.26 = build/src/nginx-trixie
tree_sanitize   = build/src/nginx-$(release)

ifdef NGX_SRC
FLAVOUR = $(notdir $(abspath $(NGX_SRC)))
tree_$(FLAVOUR) = $(NGX_SRC)
else ifdef SANITIZE
FLAVOUR = sanitize
endif

ifeq ($(origin CC),default)
CC = gcc
endif

one    = $(or $(FLAVOUR),debian)
tree   = $(or $(tree_$(one)),$(error no flavour is named "$(one)"))
suffix = $(addprefix -,$(filter-out gcc cc,$(notdir $(CC))))
name   = $(one)$(suffix)
submake = $(MAKE) --no-print-directory

# Bash is not needed for more than "pipefail".
SHELL := /bin/bash
.DELETE_ON_ERROR:
.NOTPARALLEL:


.PHONY: build deps test run bench lint unit fuzz clean help

build: $(if $(NGX_SRC),,$(tree)/configure)   ## modules into build/modules/*.so
	@CC="$(CC)" build-aux/nginx $(name) $(tree)
	@$(if $(filter debian,$(name)),ln -sfn debian/modules build/modules)
	@echo "built $(name): $$(ls -x -w 0 build/$(name)/modules)"

deps:                           ## install the Debian packages that are missing
	@build-aux/deps build test lint bench

$(tree_debian)/configure:
	@echo "nginx-dev is not installed: make deps" >&2; exit 1

build/src/nginx-%/configure:
	build-aux/source $* $(@D)


# Tests.  What does not depend on nginx runs beside the first flavour only.

TESTS   = $(wildcard t/*.t)
once    = t/unit.t t/fuzz.t t/cookie_ssr.t t/docs_links.t t/jws_vectors.t \
          t/sql.t
tested  = $(or $(FLAVOUR),$(FLAVOURS))

test:                           ## build and test every flavour
	@build-aux/deps build test
	@[ $(release) = bookworm ] || \
	    echo "skipping nginx 1.22: Debian $(release) has no source of it"
	@$(submake) build CC=clang FLAVOUR=debian
	@for flavour in $(tested); do \
	    $(submake) build FLAVOUR=$$flavour || exit; \
	done
	@$(submake) unit fuzz
	@failed=; files="$(TESTS)"; \
	for flavour in $(tested); do \
	    echo "testing $$flavour"; \
	    OA_FLAVOUR=build/$$flavour$(suffix) prove -j $$(nproc) $$files \
	        || failed="$$failed $$flavour"; \
	    files="$(filter-out $(once),$(TESTS))"; \
	done; \
	[ -z "$$failed" ] || { echo "failed:$$failed"; exit 1; }


# Unit tests and fuzzers: pure files (oa_*.c) alone, with the few files of
# nginx that they call.

src      = $(CURDIR)/build/sanitize/src
pure     = $(wildcard ngx_oa_*/oa_*.c)
headers  = $(wildcard ngx_oa_*/*.h t/unit/*.h t/fuzz/*.h)
borrowed = core/ngx_string core/ngx_palloc core/ngx_array core/ngx_rbtree \
           core/ngx_crc32 core/ngx_murmurhash http/ngx_http_parse \
           os/unix/ngx_alloc
units    = $(patsubst t/unit/%.c,build/unit/%, \
               $(filter-out %/nginx_stub.c,$(wildcard t/unit/*.c)))
fuzzers  = $(patsubst t/fuzz/%.c,build/fuzz/%,$(wildcard t/fuzz/*.c))
objects  = $(pure:%.c=build/unit/o/%.o) $(borrowed:%=build/unit/o/%.o) \
           build/unit/o/t/unit/nginx_stub.o

includes = $(addprefix -I,$(wildcard ngx_oa_*)) -It/unit \
           $(addprefix -I$1/src/,core event event/modules os/unix http \
               http/modules http/v2) \
           -I$1/objs -I$(shell pg_config --includedir 2>/dev/null)
checked  = clang -g -O1 -Wall -Wextra -Werror -Wno-unused-parameter \
           -fsanitize=fuzzer-no-link,address,undefined \
           -DNGX_DEBUG_PALLOC=1 $(call includes,$(src))
lib      = build/unit/liboa.a
libs     = $(lib) -lcurl -ljansson -lcrypto

unit: $(tree_sanitize)/configure        ## unit tests into build/unit
	@CC=gcc build-aux/nginx sanitize $(<D) configure
	@$(submake) -s -j $$(nproc) $(units)

fuzz: $(tree_sanitize)/configure        ## fuzzers into build/fuzz
	@CC=gcc build-aux/nginx sanitize $(<D) configure
	@$(submake) -s -j $$(nproc) $(fuzzers)

build/unit/%: t/unit/%.c $(lib)
	$(checked) -o $@ $< $(libs)

build/fuzz/%: t/fuzz/%.c $(lib)
	@mkdir -p $(@D)
	$(checked) -fsanitize=fuzzer -o $@ $< $(libs)

$(lib): $(objects)
	rm -f $@
	ar rc $@ $^

build/unit/o/%.o: %.c $(headers)
	@mkdir -p $(@D)
	$(checked) -c -o $@ $<

build/unit/o/%.o: $(src)/src/%.c        # nginx's own: its noise is not ours
	@mkdir -p $(@D)
	$(checked) -fno-sanitize=undefined -w -c -o $@ $<


run:                            ## nginx on loopback, and five things to try
	@build-aux/deps build
	@$(submake) build
	@demo/run

bench:                          ## measure the speed
	@build-aux/deps build bench
	@$(submake) build
	@bench/run

lint:                           ## clang-tidy, cppcheck, shellcheck
	@build-aux/deps build lint
	@CC=gcc build-aux/nginx debian $(tree_debian) configure
	@ls ngx_oa_*/*.c | xargs -P $$(nproc) -I FILE clang-tidy --quiet FILE \
	    -- $(call includes,build/debian/src)
	cppcheck --quiet --error-exitcode=1 --inline-suppr \
	    --enable=warning,performance,portability \
	    $(addprefix -I,$(wildcard ngx_oa_*)) $(wildcard ngx_oa_*)
	shellcheck build-aux/* demo/run .ci/run

clean:                          ## remove all that was made
	rm -rf build

help:                           ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10
