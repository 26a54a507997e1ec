// Command netpol enforces NetworkPolicies on the node with kube-router's controller, which k3s runs the same
// way: it turns policies into iptables rules and ipsets. Nothing else of kube-router runs.
package main

import (
	"flag"
	"sync"
	"time"

	"github.com/cloudnativelabs/kube-router/pkg/controllers/netpol"
	"github.com/cloudnativelabs/kube-router/pkg/healthcheck"
	"github.com/cloudnativelabs/kube-router/pkg/options"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	config := options.NewKubeRouterConfig()
	flag.StringVar(&config.HostnameOverride, "hostname-override", "", "the node's name")
	flag.StringVar(&config.ClusterIPCIDR, "service-cluster-ip-range", "", "addresses of Services")
	klog.InitFlags(nil)
	flag.Parse()
	config.IPTablesSyncPeriod = 5 * time.Minute // as k3s; every change of a pod, policy or namespace counts besides

	rest, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		klog.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		klog.Fatal(err)
	}
	// Nothing ends this but a signal to the process.
	stop := make(chan struct{})
	factory := informers.NewSharedInformerFactory(client, 0)
	pods := factory.Core().V1().Pods().Informer()
	namespaces := factory.Core().V1().Namespaces().Informer()
	policies := factory.Networking().V1().NetworkPolicies().Informer()
	factory.Start(stop)
	factory.WaitForCacheSync(stop)

	controller, err := netpol.NewNetworkPolicyController(client, config, pods, policies, namespaces, &sync.Mutex{})
	if err != nil {
		klog.Fatal(err) // the node isn't registered yet: started again
	}
	for informer, handler := range map[cache.SharedIndexInformer]cache.ResourceEventHandler{
		pods: controller.PodEventHandler, namespaces: controller.NamespaceEventHandler,
		policies: controller.NetworkPolicyEventHandler,
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			klog.Fatal(err)
		}
	}
	beats := make(chan *healthcheck.ControllerHeartbeat)
	go func() {
		for range beats { // it waits for somebody to take each
		}
	}()
	var running sync.WaitGroup
	running.Add(1)
	controller.Run(beats, stop, &running)
}
