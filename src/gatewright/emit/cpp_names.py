# SPDX-License-Identifier: Apache-2.0
"""Names that the top function, which has C linkage, cannot have in C++.

The lists hold what a model may well be called. Of the rarer names of a C library's headers the compiler says itself
that they are declared otherwise.
"""

from __future__ import annotations

import re

_KEYWORD_TEXT = """
alignas alignof and and_eq asm atomic_cancel atomic_commit atomic_noexcept auto bitand bitor bool break case catch char
char8_t char16_t char32_t class co_await co_return co_yield compl concept const const_cast consteval constexpr
constinit continue decltype default delete do double dynamic_cast else enum explicit export extern false float for
friend goto if inline int long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected
public reflexpr register reinterpret_cast requires return short signed sizeof static static_assert static_cast struct
switch synchronized template this thread_local throw true try typedef typeid typename union unsigned using virtual void
volatile wchar_t while xor xor_eq
"""
_LIBRARY_TEXT = """
abi abort abs accept access alarm alloca assert atexit atof atoi atol atoll basename bind brk bsearch calloc
canonicalize chdir clearenv clearerr clock clone close connect cos creat ctermid ctime daylight difftime dirname div
drem dup dysize environ errno execl execv exit fclose feof ferror fflush ffs fgetc fgetpos fgets fileno finite flock
fopen fork fpclassify fputc fputs fread free freopen frexp fseek fsetpos ftell fwide fwrite gamma getc getchar getenv
getline getpid gets gmtime index insque ioctl isalnum isalpha isascii isblank iscntrl isdigit isfinite isgraph
isgreater isinf isless islower isnan isnormal isprint ispunct isspace isunordered isupper isxdigit kill labs lconv ldiv
link listen llabs lldiv localeconv localtime longjmp lseek lshift main malloc mblen mbtowc memchr memcmp memcpy memmem
memmove memset mktime mount nanosleep neg nice obstack open optarg optind pause pclose perror pipe poll popen print
printf ptsname putc putchar putenv puts qsort raise rand random read realloc realpath recv remove rename rewind rindex
rshift scalb scanf select send setbuf setenv setjmp setlocale setvbuf shutdown sigaction signal signbit signgam
significand sleep socket srand srandom stat stderr stdin stdout strcat strchr strcmp strcoll strcpy strcspn strdup
strerror strlen strncat strncmp strncpy strpbrk strrchr strspn strstr strtod strtof strtok strtol strtold strtoll
strtoul strtoull strxfrm swab symlink sync syscall sysinfo system time times timespec timeval timex timezone tm tmpfile
tmpnam toascii tolower toupper truncate tzname tzset uint ulong umask umount uname ungetc unlink unshare ushort usleep
utime vfork wait waitpid write
"""
_MATHS_TEXT = """
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp10 exp2 expm1 fabs fdim floor fma
fmax fmin fmod hypot ilogb j0 j1 jn ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan
nearbyint nextafter pow remainder remquo rint round roundeven scalbln scalbn sin sincos sinh sqrt tan tanh tgamma trunc
y0 y1 yn
"""
_NAMESPACES = ("std", "gatewright", "hls", "sc_core", "sc_dt", "tlm")
_TAKEN = frozenset((*_KEYWORD_TEXT.split(), *_LIBRARY_TEXT.split(), *_MATHS_TEXT.split(), *_NAMESPACES))
_FAMILIES = re.compile(rf"(?:{'|'.join(_MATHS_TEXT.split())})(?:f|l)|v?(?:s|sn|f|d|w|as)?(?:print|scan)f|\w+_t")
"""Functions for other widths and other streams, and types."""


def is_taken(name: str) -> bool:
    """Whether a function of C linkage cannot have this name: a keyword of C++, or known to the library's headers."""
    return name in _TAKEN or _FAMILIES.fullmatch(name) is not None
