/**
 * @file
 * Where the server listens: reading HOST:PORT, and the socket.
 */
#ifndef GI_SERVER_LISTEN_H
#define GI_SERVER_LISTEN_H

#include "base/fail.h"

#include <stdbool.h>
#include <sys/socket.h>

/** Room for an address as text: "[v6 address]:65535". */
#define GI_LISTEN_TEXT_BYTES 64

/** An address to listen on. */
typedef struct gi_listen_address {
    struct sockaddr_storage addr;
    socklen_t n_addr;
    bool is_loopback; /**< only this machine reaches it */
} gi_listen_address;

/**
 * Read "127.0.0.1:8080", "[::1]:8080", "localhost:8080" or ":8080" (all addresses). Names are not
 * looked up. GLINT_ERR_ARG with what is wrong.
 */
glint_status gi_listen_parse(const char *text, gi_listen_address *ret, glint_error *err);

/**
 * Open a listening socket.
 * @param ret_text where it listens, with the port that was given for port 0.
 * @return GLINT_ERR_IO; the message says what to do about it.
 */
glint_status gi_listen_open(const gi_listen_address *a, int *ret_fd,
                            char ret_text[GI_LISTEN_TEXT_BYTES], glint_error *err);

#endif
