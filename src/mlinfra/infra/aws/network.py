"""The private network of jobs and endpoints: no way out but to AWS's own services."""

from __future__ import annotations

import json
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

import pulumi_aws
from pulumi import InvokeOptions, Output
from pulumi_aws import ec2, vpc

from mlinfra.catalog.aws.addresses import partition
from mlinfra.infra.aws import names
from mlinfra.infra.component import Component

if TYPE_CHECKING:
    from pulumi import ResourceOptions

    from mlinfra.infra.aws.configuration import AwsConfiguration
    from mlinfra.infra.aws.observation import Logs

# Services that jobs and endpoints talk to; S3 has a gateway, which costs nothing.
SERVICES = (
    "sagemaker.api",
    "sagemaker.runtime",
    "ecr.api",
    "ecr.dkr",
    "logs",
    "monitoring",
    "sts",
    "kms",
    "secretsmanager",
)
_HTTPS = 443
_READ = ["s3:Get*", "s3:List*"]
_SUBNET_BITS = 2  # a VPC's range is cut into four, of which up to three are used


class Network(Component):
    """A VPC with a private subnet a zone and endpoints of AWS's services; or one that exists.

    There is no internet gateway: what is not an endpoint below cannot be reached.
    """

    def __init__(
        self, name: str, configuration: AwsConfiguration, *, logs: Logs, options: ResourceOptions | None = None
    ) -> None:
        """Register it."""
        super().__init__("aws:Network", name, configuration, options)
        self._aws = configuration
        adopted = configuration.adopt.network
        if adopted:
            self.vpc: Output[str] = self.adopted(ec2.Vpc, "vpc", adopted.vpc).id
            self.subnets: list[Output[str]] = [
                self.adopted(ec2.Subnet, f"subnet-{number + 1}", each).id for number, each in enumerate(adopted.subnets)
            ]
            self.security_groups: list[Output[str]] = [
                self.adopted(ec2.SecurityGroup, f"group-{number + 1}", each).id
                for number, each in enumerate(adopted.security_groups)
            ]
        else:
            self._make(logs)
        self.finish(vpc=self.vpc, subnets=self.subnets, security_groups=self.security_groups)

    def _make(self, logs: Logs) -> None:
        made = ec2.Vpc(
            self.named("vpc"),
            cidr_block=self._aws.network.cidr,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags={**self.tags, "Name": self.named("vpc")},
            opts=self.child(),
        )
        self.vpc = made.id
        ec2.DefaultSecurityGroup(  # who names no group gets this one, which AWS makes open among its members
            self.named("default"), vpc_id=made.id, ingress=[], egress=[], tags=self.tags, opts=self.child()
        )
        tables = ec2.RouteTable(self.named("routes"), vpc_id=made.id, tags=self.tags, opts=self.child())
        self.subnets = [subnet.id for subnet in self._subnets(made, tables)]
        self.security_groups = [self._group(made).id]
        self._endpoints(made, tables)
        if self.profile.flow_logs:
            ec2.FlowLog(
                self.named("flows"),
                vpc_id=made.id,
                traffic_type="ALL",
                log_destination_type="cloud-watch-logs",
                log_destination=logs.arn,
                iam_role_arn=logs.writer("vpc-flow-logs"),
                tags=self.tags,
                opts=self.child(),
            )

    def _subnets(self, made: ec2.Vpc, routes: ec2.RouteTable) -> list[ec2.Subnet]:
        zones = pulumi_aws.get_availability_zones_output(state="available", opts=InvokeOptions(parent=self)).names
        ranges = list(IPv4Network(self._aws.network.cidr).subnets(prefixlen_diff=_SUBNET_BITS))
        subnets = []
        for number in range(self.profile.zones):
            subnet = ec2.Subnet(
                self.named(f"subnet-{number + 1}"),
                vpc_id=made.id,
                cidr_block=str(ranges[number]),
                availability_zone=zones[number],
                map_public_ip_on_launch=False,
                tags={**self.tags, "Name": self.named(f"subnet-{number + 1}")},
                opts=self.child(),
            )
            ec2.RouteTableAssociation(
                self.named(f"route-{number + 1}"), subnet_id=subnet.id, route_table_id=routes.id, opts=self.child()
            )
            subnets.append(subnet)
        return subnets

    def _group(self, made: ec2.Vpc) -> ec2.SecurityGroup:
        """Nodes of one job talk to each other; everything else goes out by TLS."""
        group = ec2.SecurityGroup(
            self.named("containers"),
            vpc_id=made.id,
            description="Jobs and endpoints",
            tags=self.tags,
            opts=self.child(),
        )
        for direction, rule in (
            ("in", vpc.SecurityGroupIngressRule),
            ("out", vpc.SecurityGroupEgressRule),
        ):
            rule(
                self.named(f"nodes-{direction}"),
                security_group_id=group.id,
                referenced_security_group_id=group.id,
                ip_protocol="-1",
                description="Nodes of one job",
                tags=self.tags,
                opts=self.child(),
            )
        vpc.SecurityGroupEgressRule(
            self.named("services-out"),
            security_group_id=group.id,
            cidr_ipv4="0.0.0.0/0",
            ip_protocol="tcp",
            from_port=_HTTPS,
            to_port=_HTTPS,
            description="AWS's services; nothing else has a route",
            tags=self.tags,
            opts=self.child(),
        )
        return group

    def _endpoints(self, made: ec2.Vpc, routes: ec2.RouteTable) -> None:
        ec2.VpcEndpoint(
            self.named("s3"),
            vpc_id=made.id,
            service_name=f"com.amazonaws.{self._aws.region}.s3",
            vpc_endpoint_type="Gateway",
            route_table_ids=[routes.id],
            policy=json.dumps(_objects(self._aws)),
            tags=self.tags,
            opts=self.child(),
        )
        group = ec2.SecurityGroup(
            self.named("endpoints"),
            vpc_id=made.id,
            description="AWS's services inside the network",
            tags=self.tags,
            opts=self.child(),
        )
        vpc.SecurityGroupIngressRule(
            self.named("endpoints-in"),
            security_group_id=group.id,
            cidr_ipv4=self._aws.network.cidr,
            ip_protocol="tcp",
            from_port=_HTTPS,
            to_port=_HTTPS,
            tags=self.tags,
            opts=self.child(),
        )
        for service in SERVICES:
            ec2.VpcEndpoint(
                self.named(service.replace(".", "-")),
                vpc_id=made.id,
                service_name=f"com.amazonaws.{self._aws.region}.{service}",
                vpc_endpoint_type="Interface",
                private_dns_enabled=True,
                subnet_ids=self.subnets,
                security_group_ids=[group.id],
                tags=self.tags,
                opts=self.child(),
            )


def _objects(configuration: AwsConfiguration) -> names.Document:
    """What may be asked of S3 from inside: to read anything, and to write where the environment's account owns.

    Whatever credentials a container holds, it carries nothing out into a bucket of somebody else's. Reading stays open,
    since parts of every job lie in buckets of AWS's own accounts: the layers of images in ECR's
    (prod-REGION-starport-layer-bucket), public models and SageMaker's own files in others that no list names in full.
    Adopted buckets may be another account's. What a role may do is still the role's policy to say.
    """
    statements: list[names.Document] = [
        {"Sid": "ReadAnything", "Effect": "Allow", "Principal": "*", "Action": _READ, "Resource": "*"},
        {
            "Sid": "WriteOwn",
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": "*",
            "Condition": {"StringEquals": {"s3:ResourceAccount": configuration.account}},
        },
    ]
    if adopted := sorted(set(configuration.adopt.buckets.values())):
        arns = [f"arn:{partition(configuration.region)}:s3:::{bucket}" for bucket in adopted]
        everything = [name for arn in arns for name in (arn, f"{arn}/*")]
        statements.append(
            {"Sid": "WriteAdopted", "Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": everything}
        )
    return names.policy(*statements)
