/*
 * In UMIP's place where its source is not at hand: home registration of RFC 6275 by raw sockets, without authentication, tunnels and route
 * optimisation; the configuration file and the virtual terminal are UMIP's as far as the roles and tests of this collection use them.
 */
#define _GNU_SOURCE
#include "config.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SEQUENCE 7

enum { DSTOPTS = 60, ROUTING = 43, MOBILITY = 135, UPDATE = 5, ACKNOWLEDGEMENT = 6, VT_PORT = 7777 };

static int mobile, lifetime, sender;
static char interface[16];
static struct in6_addr agent, home, care_of, bound_at;
static int sequence = SEQUENCE;
static int bound;
static time_t changed;

static void configure(FILE *file)
{
	char line[256], word[64];

	while (fgets(line, sizeof line, file)) {
		if (sscanf(line, "NodeConfig %63[A-Z];", word) == 1)
			mobile = !strcmp(word, "MN");
		sscanf(line, "Interface \"%15[^\"]\";", interface);
		sscanf(line, "HaMaxBindingLife %d;", &lifetime);
		sscanf(line, "MnMaxHaBindingLife %d;", &lifetime);
		if (sscanf(line, " HomeAgentAddress %63[0-9a-fA-F:];", word) == 1)
			inet_pton(AF_INET6, word, &agent);
		if (sscanf(line, " HomeAddress %63[0-9a-fA-F:]/", word) == 1)
			inet_pton(AF_INET6, word, &home);
	}
}

/* A Mobility Header of 16 octets, or 12 and padding, with the extension header that carries the home address before it. */
static void send_message(const struct in6_addr *from, const struct in6_addr *to, int extension, unsigned char *mh)
{
	unsigned char packet[40 + 24 + 16] = { 0x60, 0, 0, 0, 0, 24 + 16, extension, 64 };
	const struct in6_addr *source = extension == DSTOPTS ? &home : from, *destination = extension == ROUTING ? &home : to;
	struct sockaddr_in6 target = { .sin6_family = AF_INET6, .sin6_addr = *to };
	unsigned sum = 16 + MOBILITY;

	for (int i = 0; i < 16; i += 2)
		sum += (source->s6_addr[i] << 8 | source->s6_addr[i + 1]) + (destination->s6_addr[i] << 8 | destination->s6_addr[i + 1])
			+ (mh[i] << 8 | mh[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	mh[4] = ~sum >> 8 & 0xff;
	mh[5] = ~sum & 0xff;
	memcpy(packet + 8, from, 16);
	memcpy(packet + 24, to, 16);
	memcpy(packet + 40, extension == DSTOPTS ? "\207\002\001\002\000\000\311\020" : "\207\002\002\001\000\000\000\000", 8);
	memcpy(packet + 48, &home, 16);
	memcpy(packet + 64, mh, 16);
	sendto(sender, packet, sizeof packet, 0, (struct sockaddr *)&target, sizeof target);
}

static void update(void)
{
	sequence = (sequence + 1) & 0xffff;

	unsigned char mh[16] = { 59, 1, UPDATE, 0, 0, 0, sequence >> 8, sequence & 0xff, 0xc0, 0, 0, lifetime / 4, 1, 2 };

	send_message(&care_of, &agent, DSTOPTS, mh);
}

/* What a raw socket delivers: the extension header of 24 octets with the home address, then the Mobility Header. */
static void received(int sock)
{
	unsigned char data[2048];
	struct sockaddr_in6 from;
	struct iovec piece = { data, sizeof data };
	_Alignas(struct cmsghdr) char ancillary[256];
	struct msghdr message = {
		.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &piece, .msg_iovlen = 1, .msg_control = ancillary, .msg_controllen = sizeof ancillary
	};
	ssize_t length = recvmsg(sock, &message, 0);
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	unsigned char *mh = data + 24;

	if (length < 40 || data[0] != MOBILITY || data[1] != 2)
		return;
	if (mobile && mh[2] == ACKNOWLEDGEMENT && mh[6] == 135) {
		sequence = mh[8] << 8 | mh[9];
		update();
	} else if (mobile && mh[2] == ACKNOWLEDGEMENT && mh[6] < 128 && (mh[8] << 8 | mh[9]) == sequence) {
		bound = 1;
		bound_at = care_of;
		changed = time(NULL);
	} else if (!mobile && mh[2] == UPDATE) {
		unsigned char answer[16] = { 59, 1, ACKNOWLEDGEMENT, 0, 0, 0, 0, 0, mh[6], mh[7], mh[10], mh[11], 1, 2 };

		if (head && head->cmsg_type == IPV6_PKTINFO)
			agent = ((struct in6_pktinfo *)CMSG_DATA(head))->ipi6_addr;
		memcpy(&home, data + 8, 16);
		sequence = mh[6] << 8 | mh[7];
		lifetime = (mh[10] << 8 | mh[11]) * 4;
		care_of = from.sin6_addr;
		bound = lifetime > 0;
		changed = time(NULL);
		send_message(&agent, &care_of, ROUTING, answer);
	}
}

/* The interface's address that is neither the home address nor link-local. */
static int look_for_care_of(void)
{
	struct ifaddrs *all, *one;
	int found = 0;

	if (getifaddrs(&all))
		return 0;
	for (one = all; one; one = one->ifa_next) {
		struct in6_addr *address = one->ifa_addr ? &((struct sockaddr_in6 *)one->ifa_addr)->sin6_addr : NULL;

		if (address && one->ifa_addr->sa_family == AF_INET6 && !strcmp(one->ifa_name, interface) && !IN6_IS_ADDR_LINKLOCAL(address)
		    && !IN6_ARE_ADDR_EQUAL(address, &home)) {
			care_of = *address;
			found = 1;
		}
	}
	freeifaddrs(all);
	return found;
}

static const char *text(const struct in6_addr *address, char *buffer)
{
	const unsigned char *a = address->s6_addr;

	sprintf(buffer, "%x:%x:%x:%x:%x:%x:%x:%x", a[0] << 8 | a[1], a[2] << 8 | a[3], a[4] << 8 | a[5], a[6] << 8 | a[7], a[8] << 8 | a[9],
		a[10] << 8 | a[11], a[12] << 8 | a[13], a[14] << 8 | a[15]);
	return buffer;
}

static void terminal(int server)
{
	int client = accept(server, NULL, NULL);
	FILE *in = client < 0 ? NULL : fdopen(client, "r"), *out = client < 0 ? NULL : fdopen(dup(client), "w");
	char line[256], hoa[64], coa[64], local[64];

	if (!in || !out)
		return;
	fprintf(out, "mip6d> ");
	fflush(out);
	while (fgets(line, sizeof line, in) && strcmp(line, "quit\n")) {
		if (!strcmp(line, "bc\n") && bound && !mobile)
			fprintf(out, "hoa %s status registered\n coa %s flags AH--\n local %s\n lifetime %ld / %d seq %d unreach 0\n",
				text(&home, hoa), text(&care_of, coa), text(&agent, local), (long)(lifetime - (time(NULL) - changed)), lifetime, sequence);
		fprintf(out, "mip6d> ");
		fflush(out);
	}
	fclose(in);
	fclose(out);
}

int main(int argc, char **argv)
{
	FILE *file = argc == 3 && !strcmp(argv[1], "-c") ? fopen(argv[2], "r") : NULL;
	int one = 1;

	if (!file)
		return 2;
	configure(file);
	fclose(file);
	sender = socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
#ifdef ENABLE_VT
	struct sockaddr_in6 here = { .sin6_family = AF_INET6, .sin6_port = htons(VT_PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct pollfd polled[] = {
		{ .fd = socket(AF_INET6, SOCK_STREAM, 0), .events = POLLIN },
		{ .fd = socket(AF_INET6, SOCK_RAW, mobile ? ROUTING : DSTOPTS), .events = POLLIN },
	};

	setsockopt(polled[1].fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one);
	setsockopt(polled[0].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (sender < 0 || polled[1].fd < 0 || bind(polled[0].fd, (struct sockaddr *)&here, sizeof here) || listen(polled[0].fd, 1))
		return 1;
	for (;;) {
		int ready = poll(polled, 2, 500);

		if (polled[0].revents)
			terminal(polled[0].fd);
		if (polled[1].revents)
			received(polled[1].fd);
		if (!ready && mobile && look_for_care_of()
		    && (!bound || !IN6_ARE_ADDR_EQUAL(&bound_at, &care_of) || time(NULL) - changed > lifetime / 2))
			update();
	}
#endif
	return 3;
}
