/*
 * Formats as patterns, so that one engine serves both. They are those of the drafts, a little
 * narrower where the standard behind a format allows what nobody writes (comments in mail
 * addresses, leap seconds, the year 0).
 */
#include "grammar/schema_parts.h"

#include <string.h>

#define HOUR "([01][0-9]|2[0-3])"
#define TIME HOUR ":[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?([Zz]|[+-]" HOUR ":[0-5][0-9])"
#define YEAR "(0[0-9]{2}[1-9]|0[0-9][1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
#define LEAP "([0-9]{2}(0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)-02-29"
#define DATE                                                                                       \
    "(" YEAR "-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|"      \
    "02-(0[1-9]|1[0-9]|2[0-8]))|" LEAP ")"
#define OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define IPV4  "(" OCTET "\\.){3}" OCTET
#define H16   "[0-9A-Fa-f]{1,4}"
#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HEX   "[0-9A-Fa-f]"
#define PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|%" HEX HEX ")"
#define AFTER "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"
#define USER  "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"

static const struct {
    const char *format, *pattern; /* NULL: known, but not supported */
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "[Tt]" TIME "$"},
    {"duration",
     "^P(([0-9]+Y([0-9]+M([0-9]+D)?)?|[0-9]+M([0-9]+D)?|[0-9]+D)(T([0-9]+H([0-9]+M([0-9]"
     "+S)?)?|[0-9]+M([0-9]+S)?|[0-9]+S))?|T([0-9]+H([0-9]+M([0-9]+S)?)?|[0-9]+M([0-9]+S)"
     "?|[0-9]+S)|[0-9]+W)$"},
    {"email", "^" USER "(\\." USER ")*@" LABEL "(\\." LABEL ")*$"},
    {"hostname", "^" LABEL "(\\." LABEL ")*$"},
    {"ipv4", "^" IPV4 "$"},
    {"ipv6", "^((" H16 ":){7}" H16 "|(" H16 ":){1,7}:|:(:" H16 "){1,7}|::|(" H16 ":){1,6}:" H16
             "|(" H16 ":){1,5}(:" H16 "){1,2}|(" H16 ":){1,4}(:" H16 "){1,3}|(" H16 ":){1,3}(:" H16
             "){1,4}|(" H16 ":){1,2}(:" H16 "){1,5}|" H16 ":(:" H16 "){1,6}|(" H16 ":){6}" IPV4
             "|::([Ff]{4}:)?" IPV4 ")$"},
    {"uuid", "^" HEX "{8}-" HEX "{4}-" HEX "{4}-" HEX "{4}-" HEX "{12}$"},
    {"uri", "^[A-Za-z][A-Za-z0-9+.-]*:(//(" PCHAR "|[\\[\\]])*(/" PCHAR "*)*|/?(" PCHAR "+(/" PCHAR
            "*)*)?)" AFTER "$"},
    {"uri-reference", "^(" PCHAR "|/)*" AFTER "$"},
    {"json-pointer", "^(/([^~/]|~[01])*)*$"},
    {"regex", NULL},
    {"idn-email", NULL},
    {"idn-hostname", NULL},
    {"iri", NULL},
    {"iri-reference", NULL},
    {"uri-template", NULL},
    {"relative-json-pointer", NULL},
};
enum { N_FORMATS = sizeof formats / sizeof *formats };

const char *gi_format_pattern(const char *format) {
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].format, format) == 0) return formats[i].pattern;
    return NULL;
}

bool gi_format_is_known(const char *format) {
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].format, format) == 0) return true;
    return false;
}
