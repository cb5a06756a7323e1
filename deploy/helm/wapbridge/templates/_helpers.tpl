{{/* Labels that find the pods. */}}
{{- define "wapbridge.selector" -}}
app.kubernetes.io/name: wapbridge
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "wapbridge.labels" -}}
{{ include "wapbridge.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{/* Ports for handsets that are on: key in [listen], name, port, protocol. */}}
{{- define "wapbridge.ports" -}}
{{- with .Values.listen }}
{{- if .connectionMode }}
- {key: connection_mode, name: wsp-wtp, port: {{ .connectionMode }}, protocol: UDP}
{{- end }}
{{- if .connectionless }}
- {key: connectionless, name: wsp-unit, port: {{ .connectionless }}, protocol: UDP}
{{- end }}
{{- if .secureConnectionMode }}
- {key: secure_connection_mode, name: wtls-wtp, port: {{ .secureConnectionMode }}, protocol: UDP}
{{- end }}
{{- if .secureConnectionless }}
- {key: secure_connectionless, name: wtls-unit, port: {{ .secureConnectionless }}, protocol: UDP}
{{- end }}
{{- if .http }}
- {key: http, name: http, port: {{ .http }}, protocol: TCP}
{{- end }}
{{- if .https }}
- {key: https, name: https, port: {{ .https }}, protocol: TCP}
{{- end }}
{{- if .obex }}
- {key: obex, name: obex, port: {{ .obex }}, protocol: TCP}
{{- end }}
{{- end }}
{{- end }}

{{- define "wapbridge.toml" -}}
[listen]
{{- range include "wapbridge.ports" . | fromYamlArray }}
{{ .key }} = "0.0.0.0:{{ .port }}"
{{- end }}

[admin]
listen           = "0.0.0.0:{{ .Values.admin.port }}"
probes           = "0.0.0.0:{{ .Values.admin.probes }}"
reads_need_token = true
token_file       = "/run/secrets/{{ .Values.admin.tokenSecret }}/token"

[store]
path = "/var/lib/wapbridge/state.redb"

{{ .Values.configuration }}
{{- end }}

{{/* The pod. hostNetwork and loadBalancer differ in what carries its state, and in the network. */}}
{{- define "wapbridge.pod" -}}
{{- $onHost := eq .Values.mode "hostNetwork" -}}
metadata:
  labels:
    {{- include "wapbridge.labels" . | nindent 4 }}
  annotations:
    checksum/configuration: {{ include "wapbridge.toml" . | sha256sum }}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  {{- if $onHost }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- with .Values.hostNetwork.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- else }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: DoNotSchedule
      labelSelector:
        matchLabels:
          {{- include "wapbridge.selector" . | nindent 10 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 9201
    runAsGroup: 9201
    fsGroup: 9201
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: wapbridge
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: [serve, --config, /etc/wapbridge/wapbridge.toml]
      ports:
        {{- range include "wapbridge.ports" . | fromYamlArray }}
        - name: {{ .name }}
          containerPort: {{ .port }}
          {{- if $onHost }}
          hostPort: {{ .port }}
          {{- end }}
          protocol: {{ .protocol }}
        {{- end }}
        - name: admin
          containerPort: {{ .Values.admin.port }}
          {{- if $onHost }}
          hostPort: {{ .Values.admin.port }}
          {{- end }}
          protocol: TCP
        - name: probes
          containerPort: {{ .Values.admin.probes }}
          {{- if $onHost }}
          hostPort: {{ .Values.admin.probes }}
          {{- end }}
          protocol: TCP
      startupProbe:
        httpGet: {path: /readyz, port: probes}
        periodSeconds: 1
        failureThreshold: 60
      # Draining and isolated answer 503 here: nobody new is sent.
      readinessProbe:
        httpGet: {path: /readyz, port: probes}
        periodSeconds: 2
        failureThreshold: 2
      livenessProbe:
        httpGet: {path: /livez, port: probes}
        periodSeconds: 10
        failureThreshold: 3
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: configuration, mountPath: /etc/wapbridge, readOnly: true}
        - {name: state, mountPath: /var/lib/wapbridge}
        {{- range $at, $name := prepend .Values.secrets .Values.admin.tokenSecret }}
        - {name: secret-{{ $at }}, mountPath: /run/secrets/{{ $name }}, readOnly: true}
        {{- end }}
  volumes:
    - name: configuration
      configMap: {name: {{ .Release.Name }}}
    # For the group in fsGroup only.
    {{- range $at, $name := prepend .Values.secrets .Values.admin.tokenSecret }}
    - name: secret-{{ $at }}
      secret: {secretName: {{ $name }}, defaultMode: 0440}
    {{- end }}
    {{- if $onHost }}
    # A directory that Kubernetes makes would be root's.
    - name: state
      hostPath: {path: {{ .Values.hostNetwork.stateDirectory }}, type: Directory}
    {{- end }}
{{- end }}
