Feature: Plugins are judged where they are made, not where they fail
  A plugin changes the domains of other people's guests. What cannot work is refused when the administrator makes it; what a
  guest would fail on later is known now. Most of it is policies of the API server, in force while the feature gate is on.

  Scenario: Without the feature gate there are no plugins
    Given a cluster with 1 node
    Then these changes to a sound Plugin are refused:
      | change | code | message |
      | {}     | 400  | Plugins feature gate is not enabled |
      | {"spec": {"failureStrategy": "Panic"}} | 400 | Plugins feature gate is not enabled |
    And launcher pods are judged so:
      | spec | message |
      | {"containers": [{"name": "side", "image": "i", "volumeMounts": [{"name": "kubevirt-plugin-sockets", "mountPath": "/s"}]}], "volumes": [{"name": "kubevirt-plugin-sockets", "emptyDir": {}}]} | |

  Scenario: What a plugin consists of
    Given a cluster with 1 node
    And the feature gate Plugins is on
    Then a sound Plugin is accepted
    And a sound Plugin comes without a warning
    And a sound Plugin with {"spec": {"domainHooks": []}} comes with the warning "no hooks or admission references are defined; this plugin will have no effect"
    And these changes to a sound Plugin are accepted:
      | change |
      | {"spec": {"failureStrategy": "Ignore"}} |
      | {"spec": {"domainHooks": [], "validatingAdmissionPolicies": [{"name": "p"}]}} |
      | {"spec": {"nodeHooks": [{"socket": "/s.sock", "permittedHooks": ["PreVMStart", "PostMigrationSource"], "failureStrategy": "Fail"}]}} |
      | {"spec": {"domainHooks": [{"sidecar": {"socketPath": "/var/run/kubevirt-plugin/subject/hook.sock"}}]}} |
    And these changes to a sound Plugin are refused:
      | change | code | message |
      | {"spec": {"domainHooks": [{}]}} | 422 | ValidatingAdmissionPolicy 'kubevirt-plugin-validation-policy' with binding 'kubevirt-plugin-validation-binding' denied request: exactly one of cel or sidecar must be specified for each domain hook |
      | {"spec": {"domainHooks": [{"cel": {"expression": "Domain{}"}, "sidecar": {"socketPath": "/var/run/kubevirt-plugin/subject/a.sock"}}]}} | 422 | exactly one of cel or sidecar must be specified for each domain hook |
      | {"spec": {"domainHooks": [{"cel": {"expression": "Domain{}"}, "failureStrategy": "Panic"}]}} | 422 | failureStrategy must be either 'Fail' or 'Ignore' |
      | {"spec": {"nodeHooks": [{"socket": "s", "permittedHooks": ["PreVMStart"], "failureStrategy": "Panic"}]}} | 422 | failureStrategy must be either 'Fail' or 'Ignore' |
      | {"spec": {"nodeHooks": [{"socket": "s", "permittedHooks": ["PreLunch"]}]}} | 422 | permittedHooks must only contain valid node hook points |
      | {"spec": {"failureStrategy": "Panic"}} | 422 | failureStrategy must be either 'Fail' or 'Ignore' |
      | {"spec": {"domainHooks": [{"sidecar": {"socketPath": "/var/run/kubevirt-plugin/subject/hook"}}]}} | 422 | sidecar socketPath must end with .sock |
      | {"spec": {"domainHooks": [{"sidecar": {"socketPath": "/var/run/kubevirt-plugin/other/hook.sock"}}]}} | 422 | ValidatingAdmissionPolicy 'kubevirt-plugin-socket-path-policy' with binding 'kubevirt-plugin-socket-path-binding' denied request: sidecar socketPath must start with /var/run/kubevirt-plugin/<plugin-name>/ |
      | {"spec": {"domainHooks": [{"sidecar": {"socketPath": "/var/run/kubevirt-plugin/subject/0123456789012345678901234567890123456789012345678901234567890123456789012345.sock"}}]}} | 422 | sidecar socketPath must not exceed 108 characters (Unix socket limit) |
      | {"spec": {"domainHooks": [{"sidecar": {"socketPath": "/var/run/kubevirt-plugin/subject/../other/hook.sock"}}]}} | 400 | socketPath must be a clean path (no '..' segments or redundant separators) |

  Scenario: Expressions compile, and give what they must
    Given a cluster with 1 node
    And the feature gate Plugins is on
    Then these changes to a sound Plugin are accepted:
      | change |
      | {"spec": {"condition": "vmi.Labels['tier'] == 'gold' && domainSpec.Type == 'kvm'"}} |
      | {"spec": {"domainHooks": [{"cel": {"expression": "Domain{Memory: DomainMemory{Value: uint(2048), Unit: 'MiB'}}"}, "condition": "has(domainSpec.CPU)"}]}} |
      | {"spec": {"nodeHooks": [{"socket": "s", "permittedHooks": ["PreVMStart"], "condition": "vmi.spec.domain.cpu.cores > 2"}]}} |
    And these changes to a sound Plugin are refused:
      | change | code | message |
      | {"spec": {"condition": "vmi.Name"}} | 400 | invalid CEL condition expression: condition must return bool, got string |
      | {"spec": {"condition": "vmi.Name =="}} | 400 | invalid CEL condition expression: compiling expression: ERROR: <input>:1: |
      | {"spec": {"condition": "vmi.Nmae == 'a'"}} | 400 | invalid CEL condition expression: compiling expression: ERROR: <input>:1:4: undefined field 'Nmae' |
      | {"spec": {"domainHooks": [{"cel": {"expression": "domainSpec.Name"}}]}} | 400 | invalid CEL mutation expression: mutation must return Domain, got string |
      | {"spec": {"domainHooks": [{"cel": {"expression": "Domainn{}"}}]}} | 400 | undeclared reference to 'Domainn' (in container 'libvirtxml') |
      | {"spec": {"domainHooks": [{"cel": {"expression": "Domain{}"}, "condition": "1 + 1"}]}} | 400 | invalid CEL condition expression: condition must return bool, got int |
      | {"spec": {"nodeHooks": [{"socket": "s", "permittedHooks": ["PreVMStart"], "condition": "vmi.spec.doman.cpu.cores > 2"}]}} | 400 | invalid CEL condition expression: CEL compilation failed: ERROR: <input>:1:9: undefined field 'doman' |

  Scenario: A sidecar sees its own plugin's sockets only
    Given a cluster with 1 node
    And the feature gate Plugins is on
    Then launcher pods are judged so:
      | spec | message |
      | {"containers": [{"name": "compute", "image": "i", "volumeMounts": [{"name": "kubevirt-plugin-sockets", "mountPath": "/s"}]}], "volumes": [{"name": "kubevirt-plugin-sockets", "emptyDir": {}}]} | |
      | {"containers": [{"name": "side", "image": "i", "volumeMounts": [{"name": "kubevirt-plugin-sockets", "mountPath": "/s", "subPath": "mine"}]}], "volumes": [{"name": "kubevirt-plugin-sockets", "emptyDir": {}}]} | |
      | {"containers": [{"name": "side", "image": "i", "volumeMounts": [{"name": "kubevirt-plugin-sockets", "mountPath": "/s"}]}], "volumes": [{"name": "kubevirt-plugin-sockets", "emptyDir": {}}]} | ValidatingAdmissionPolicy 'kubevirt-plugin-sidecar-subpath-policy' with binding 'kubevirt-plugin-sidecar-subpath-binding' denied request: sidecar containers must use subPath when mounting the plugin socket volume |
      | {"containers": [{"name": "compute", "image": "i"}], "initContainers": [{"name": "side", "image": "i", "volumeMounts": [{"name": "kubevirt-plugin-sockets", "mountPath": "/s"}]}], "volumes": [{"name": "kubevirt-plugin-sockets", "emptyDir": {}}]} | sidecar containers must use subPath |
