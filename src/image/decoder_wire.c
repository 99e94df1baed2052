/*
 * Messages of one byte over a socket that keeps messages apart; both ends use this.
 */
#include "image/decoder_wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

bool gi_decoder_say(int socket, gi_decoder_message message) {
    const char byte = (char)message;
    ssize_t n;
    do {
        n = send(socket, &byte, 1, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}

bool gi_decoder_hear(int socket, int patience_ms, char *ret) {
    struct pollfd p = {.fd = socket, .events = POLLIN};
    ssize_t n;
    do {
        n = poll(&p, 1, patience_ms);
    } while (n < 0 && errno == EINTR);
    if (n != 1) return false;
    do {
        n = recv(socket, ret, 1, 0);
    } while (n < 0 && errno == EINTR);
    return n == 1;
}
