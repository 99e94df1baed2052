/*
 * Nothing is fetched without --allow-image-host; an option that would loosen the rules for nothing
 * is refused, because whoever wrote it believes something else.
 */
#include "fetch_args.h"

#include "base/parse.h"

#include <stddef.h>
#include <string.h>

enum { MIB = 1024 * 1024, PORT_MAX = 65535 };

#define AT(member) offsetof(gi_fetch_args, member)

static const gi_option ROWS[] = {
    {.name = "Pictures by URL:", .kind = GI_OPTION_HEADING},
    {.name = "allow-image-host",
     .kind = GI_OPTION_LIST,
     .offset = AT(hosts),
     .value = "HOST",
     .help = "fetch pictures from this host:\nexample.com, *.example.com or an address\n"
             "(none: no URL is fetched)"},
    {.name = "image-urls",
     .kind = GI_OPTION_CHOICE,
     .offset = AT(urls),
     .value = "WHETHER",
     .fallback = "on",
     .choices = "on|off",
     .help = "off: fetch nothing for now, whatever is\nallowed; read again on SIGHUP"},
    {.name = "allow-image-port",
     .kind = GI_OPTION_LIST,
     .offset = AT(port_texts),
     .value = "N",
     .help = "also from this port, beside 80 and 443"},
    {.name = "allow-http-images",
     .kind = GI_OPTION_SWITCH,
     .offset = AT(allow_http),
     .help = "also http://, which anybody on the way\ncan read and change"},
    {.name = "allow-private-images",
     .kind = GI_OPTION_SWITCH,
     .offset = AT(allow_private),
     .help = "also from loopback and private\naddresses, for hosts allowed above"},
    {.name = "image-ca-file",
     .kind = GI_OPTION_TEXT,
     .offset = AT(ca_file),
     .value = "FILE",
     .help = "PEM file of the roots to trust for\nhttps, instead of the system's"},
    {.name = "image-fetch-ms",
     .kind = GI_OPTION_INT,
     .offset = AT(total_ms),
     .value = "MS",
     .fallback = "5000",
     .min = 100,
     .max = 60000,
     .help = "time for one URL with its redirects"},
    {.name = "image-fetch-mib",
     .kind = GI_OPTION_INT,
     .offset = AT(file_mib),
     .value = "MIB",
     .fallback = "10",
     .min = 1,
     .max = 64,
     .help = "largest picture fetched, in MiB"},
    {.name = "image-fetches-max",
     .kind = GI_OPTION_INT,
     .offset = AT(transfers_max),
     .value = "N",
     .fallback = "32",
     .min = 1,
     .max = 256,
     .help = "pictures fetched at once; more wait;\nwith keys, of a tenant at most as many\nas "
             "are free"},
    {.name = "image-cache-mib",
     .kind = GI_OPTION_INT,
     .offset = AT(cache_mib),
     .value = "MIB",
     .fallback = "64",
     .min = 0,
     .max = 65536,
     .help = "fetched pictures kept for as long as\ntheir server allows, in MiB; 0 = none"},
};

gi_option_group gi_fetch_args_options(gi_fetch_args *a) {
    return (gi_option_group)GI_OPTION_GROUP(ROWS, a);
}

bool gi_fetch_args_are_on(const gi_fetch_args *a) {
    return strcmp(a->urls, "on") == 0;
}

glint_status gi_fetch_args_resolve(gi_fetch_args *a, gi_fetch_config *ret, glint_error *err) {
    if (a->hosts.n == 0 && (a->port_texts.n > 0 || a->allow_http || a->allow_private || a->ca_file))
        return gi_fail(err, GLINT_ERR_ARG,
                       "--allow-image-port, --allow-http-images, --allow-private-images and "
                       "--image-ca-file do nothing without --allow-image-host");
    if (a->port_texts.n > GI_FETCH_PORTS_MAX)
        return gi_fail(err, GLINT_ERR_ARG, "--allow-image-port: at most %d", GI_FETCH_PORTS_MAX);
    for (size_t i = 0; i < a->port_texts.n; i++)
        if (!gi_parse_i64(a->port_texts.values[i], &a->ports[i]) || a->ports[i] < 1 ||
            a->ports[i] > PORT_MAX)
            return gi_fail(err, GLINT_ERR_ARG, "\"%.80s\" is not a port", a->port_texts.values[i]);
    gi_fetch_config c = gi_fetch_config_default();
    c.hosts = a->hosts.values;
    c.n_hosts = a->hosts.n;
    c.ports = a->ports;
    c.n_ports = a->port_texts.n;
    c.allow_http = a->allow_http;
    c.allow_private = a->allow_private;
    c.ca_file = a->ca_file;
    c.total_ms = a->total_ms;
    c.file_bytes_max = a->file_mib * MIB;
    c.kept_bytes_max = a->cache_mib * MIB;
    c.transfers_max = a->transfers_max;
    *ret = c;
    return GLINT_OK;
}
