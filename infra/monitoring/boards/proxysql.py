"""ProxySQL before MySQL, as it tells of itself."""

from infra.monitoring.boards.board import Panel, Query, Row, Unit
from infra.monitoring.boards.promql import rate, total

_OF_POOL = ("hostgroup", "endpoint")


def row() -> Row:
    legend = "{{hostgroup}} {{endpoint}}"
    return Row(
        "ProxySQL",
        (
            Panel(
                "Server in use",
                Unit.YES_NO,
                (
                    Query(
                        "max by (hostgroup, endpoint) (proxysql_connpool_conns_status) == bool 1",
                        legend,
                    ),
                ),
                "Whether statements go there: no, when it is shunned, late or offline.",
                kind="states",
                width=6,
            ),
            Panel(
                "Statements, by server",
                Unit.PER_SECOND,
                (Query(rate("proxysql_connpool_conns_queries_total", _OF_POOL), legend),),
                "Hostgroup 10 writes, 20 reads.",
                kind="areas",
                width=6,
            ),
            Panel(
                "Multiplexing",
                Unit.COUNT,
                (
                    Query(total("proxysql_client_connections_connected"), "of services"),
                    Query(total("proxysql_server_connections_connected"), "to servers"),
                ),
                "Many connections of services share few to the servers.",
            ),
            Panel(
                "Connections to servers",
                Unit.COUNT,
                (
                    Query(
                        total("proxysql_connpool_conns", ("hostgroup", "status")),
                        "{{hostgroup}} {{status}}",
                    ),
                ),
                "In use, and kept for the next statement.",
                kind="areas",
            ),
            Panel(
                "Way to the servers",
                Unit.SECONDS,
                (
                    Query(
                        "max by (endpoint) (proxysql_connpool_conns_latency_us) / 1e6",
                        "{{endpoint}}",
                    ),
                ),
                "Time of a ping.",
            ),
            Panel(
                "Not connected",
                Unit.PER_SECOND,
                (
                    Query(
                        rate("proxysql_connpool_conns_total", ("endpoint",), status="err"),
                        "{{endpoint}} did not answer",
                    ),
                    Query(
                        rate("proxysql_access_denied_wrong_password_total"),
                        "wrong passwords of clients",
                    ),
                ),
                "Connections that failed, to servers and of services.",
                width=6,
            ),
            Panel(
                "Traffic with servers",
                Unit.BYTES_PER_SECOND,
                (
                    Query(
                        rate("proxysql_connpool_data_bytes_total", ("traffic_flow",)),
                        "{{traffic_flow}}",
                    ),
                ),
                "Results and statements.",
                width=6,
            ),
        ),
        needs="proxysql",
    )
