/*
 * What the gateway's fan-out is compared with: one plain loop that send()s each frame to each
 * subscriber, and nothing else. Usage: bare_send PORT SUBSCRIBERS
 *
 * The first SUBSCRIBERS connections to 127.0.0.1:PORT are the subscribers; each gets the head of an
 * answer for its request. The one that comes then publishes: frames, each behind its length, a
 * 32-bit number in the machine's own byte order. Ends when the publisher does.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int take(int listening)
{
    int one = 1, connection = accept(listening, NULL, NULL);
    if (connection < 0)
        fail("accept");
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return connection;
}

static int receive_all(int connection, void *to, size_t bytes)
{
    return recv(connection, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

int main(int count, char **arguments)
{
    static char frame[1 << 20], request[4096];
    uint32_t bytes;
    int one = 1, listening = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET};
    if (count != 3)
        return 2;
    int subscribers = atoi(arguments[2]);
    int *connections = calloc(subscribers, sizeof *connections);
    address.sin_port = htons(atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 4096))
        fail("listen");
    for (int i = 0; i < subscribers; i++) {
        connections[i] = take(listening);
        if (recv(connections[i], request, sizeof request, 0) <= 0)
            fail("recv");
        send(connections[i], HEAD, sizeof HEAD - 1, MSG_NOSIGNAL);
    }
    int publisher = take(listening);
    while (receive_all(publisher, &bytes, sizeof bytes) && bytes <= sizeof frame
           && receive_all(publisher, frame, bytes))
        for (int i = 0; i < subscribers; i++)
            if (send(connections[i], frame, bytes, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)bytes)
                fail("send");
    return 0;
}
